"""The benchmark of watched generations at a tiny size: both are timed, and the scores are those of a full pass."""

from benchmarks.watched_generation import WatchedGenerationConfig, compare


def test_both_are_timed_and_the_scores_are_right():
    rows = compare(WatchedGenerationConfig(n_new=4, batch_sizes=(2,), repeats=1))
    assert [row["probes x scores"] for row in rows] == ["1 x 7", "4 x 7"]
    for row in rows:
        assert float(row["watched / bare"]) > 0
        assert float(row["largest difference from a full pass"]) < 1e-4
