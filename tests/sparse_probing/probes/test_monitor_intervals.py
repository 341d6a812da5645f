"""Intervals of monitor metrics: they hold the value of a large sample, and are refused where a rate is not measured."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score, roc_curve

from sparse_probing.probes.metrics.monitor_metrics import partial_roc_auc, recall_at
from sparse_probing.probes.monitor_intervals import class_monitor_metrics, monitor_metrics, weighted_values


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


def test_weighted_values_are_those_of_repeated_rows():
    rng = np.random.default_rng(3)
    y = np.where(rng.random(80) < 0.3, 1, -1)
    scores = np.round(y + 1.5 * rng.standard_normal(80), 1)  # with ties
    weights = rng.integers(0, 4, (80, 6))
    rates = (0.02, 0.1, 0.5, 1.0)
    values = weighted_values(y > 0, scores, weights, rates)
    for b, of_resample in enumerate(weights.T):
        rows = np.repeat(np.arange(80), of_resample)
        for i, rate in enumerate(rates):
            expected = recall_at(y[rows], scores[rows, None], rate), partial_roc_auc(y[rows], scores[rows, None], rate)
            assert values[i, :, b] == pytest.approx(np.ravel(expected), abs=1e-12)


def test_classes_have_the_metrics_of_each_score_against_the_others():
    rng = np.random.default_rng(0)
    codes, groups = rng.integers(0, 3, 300), np.arange(300) // 3
    scores = 2 * (codes[:, None] == np.arange(3)) + rng.standard_normal((300, 3))
    metrics = class_monitor_metrics(codes[:, None] == np.arange(3), scores, groups, rng, rates=(0.001, 0.05))
    for k in range(3):
        y = np.where(codes == k, 1, -1)
        false_positive, true_positive, _ = roc_curve(y, scores[:, k])
        assert metrics.value[k, 1, 0] == true_positive[false_positive <= 0.05].max()
        assert metrics.value[k, 1, 1] == pytest.approx(roc_auc_score(y, scores[:, k], max_fpr=0.05))
    assert np.isnan(metrics.low[:, 0]).all()
    assert (metrics.low[:, 1] < metrics.value[:, 1]).all()
    assert (metrics.value[:, 1] < metrics.high[:, 1]).all()
    few = class_monitor_metrics(codes[:, None] == np.arange(3), scores, np.arange(300) % 4, rng)
    assert np.isfinite(few.value).all()
    assert np.isnan(few.low).all()
