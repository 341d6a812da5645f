"""The benchmark of metrics at a tiny size: ours and the peers agree."""

from benchmarks.metrics_of_probes import MetricsConfig, compare


def test_both_compute_the_same_numbers() -> None:
    rows = compare(MetricsConfig(n_rows=200, n_probes=5, repeats=1))
    assert [row["what"] for row in rows] == ["eight metrics", "error of the area"]
    assert all(float(str(row["largest difference"])) < 1e-12 for row in rows)
    assert all(float(str(row["one by one / ours"])) > 0 for row in rows)
