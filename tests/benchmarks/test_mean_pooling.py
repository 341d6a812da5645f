"""The benchmark of mean pooling at a tiny size: both ways are timed and give the same means."""

from benchmarks.mean_pooling import PoolingBenchmark, compare


def test_both_ways_are_timed_and_agree_to_rounding():
    config = PoolingBenchmark(widths=(8, 16), batch_size=3, length=6, megabytes=0.01, repeats=1)
    rows = compare(config)
    assert [row["activations"] for row in rows] == ["3 x 6 x 8", "3 x 6 x 16"] * 2
    for row in rows:
        assert float(row["masked / ours, CPU time"]) > 0
        assert float(row["largest difference, roundings"]) < 4
