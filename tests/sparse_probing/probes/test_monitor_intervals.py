"""Intervals of monitor metrics: they hold the value of a large sample, and are refused where a rate is not measured."""

import numpy as np

from sparse_probing.probes.metrics.monitor_metrics import recall_at
from sparse_probing.probes.monitor_intervals import monitor_metrics


def sample(n_groups: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return labels, scores and groups: four rows a group, with a shared part of their scores."""
    rng = np.random.default_rng(seed)
    y = np.repeat(np.where(np.arange(n_groups) % 3 == 0, 1, -1), 4)
    scores = 1.5 * (y > 0) + np.repeat(rng.normal(size=n_groups), 4) + 0.5 * rng.normal(size=4 * n_groups)
    return y, scores, np.repeat(np.arange(n_groups), 4)


def test_intervals_cover_the_value_of_a_large_sample():
    y, scores, _ = sample(30_000, seed=0)
    truth = recall_at(y, scores[:, None], 0.05)[0]
    covered, widths = 0, []
    for seed in range(1, 13):
        metrics = monitor_metrics(*sample(120, seed), np.random.default_rng(seed), (0.05,), n_resamples=200)
        recall, area = metrics
        assert (recall.name, area.name) == ("recall", "partial_roc_auc")
        assert recall.low <= recall.value <= recall.high
        covered += recall.low <= truth <= recall.high
        widths.append(recall.high - recall.low)
    assert covered >= 9  # of 12 at 95 %: fewer than 9 have a chance below 1 in 400
    assert np.median(widths) < 0.8


def test_a_rate_that_cannot_be_measured_has_no_interval():
    metrics = monitor_metrics(*sample(90, 1), np.random.default_rng(0), (0.001, 0.05), n_resamples=20)
    by_rate = {(m.name, m.false_positive_rate): m for m in metrics}
    unmeasured = by_rate["recall", 0.001]
    assert "cannot be measured with 240 negatives" in unmeasured.note
    assert np.isnan([unmeasured.low, unmeasured.high]).all()
    assert by_rate["recall", 0.05].note == ""
