"""Bootstrap intervals: SciPy, coverage with groups, strata of classes, errors."""

import numpy as np
import pytest
from scipy.stats import bootstrap, norm, t

from probing_datasets.foundation.errors import ProbeError
from sparse_probing.probes.inference.group_bootstrap import group_bootstrap
from sparse_probing.probes.metrics.classification import classification_metrics


def test_near_scipy_where_every_row_is_a_group():
    values = np.random.default_rng(0).exponential(size=60)
    ours = group_bootstrap(lambda rows: values[rows].mean(), np.arange(60), np.random.default_rng(1), n_resamples=4000)
    # SciPy's percentiles at the level that Hesterberg's expansion gives for 60 values.
    expanded = 1 - 2 * norm.cdf(-np.sqrt(60 / 59) * t.ppf(0.975, 59))
    theirs = bootstrap(
        (values,), np.mean, n_resamples=4000, method="percentile", confidence_level=expanded, rng=1
    ).confidence_interval
    assert float(ours.low) == pytest.approx(theirs.low, abs=0.02)
    assert float(ours.high) == pytest.approx(theirs.high, abs=0.02)


def test_coverage_with_groups_and_far_too_little_without():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(40), 5)
    values = rng.standard_normal((40, 500))[groups] + 0.5 * rng.standard_normal((200, 500))

    def coverage(units):
        result = group_bootstrap(lambda rows: values[rows].mean(axis=0), units, rng, n_resamples=400)
        return ((result.low <= 0) & (result.high >= 0)).mean()

    assert coverage(groups) == pytest.approx(0.94, abs=0.03)
    assert coverage(np.arange(200)) < 0.75


@pytest.mark.parametrize("n_groups", [6, 9, 20])
def test_coverage_with_few_groups(n_groups):
    rng = np.random.default_rng(n_groups)
    groups = np.repeat(np.arange(n_groups), 4)
    values = rng.standard_normal((n_groups, 1500))[groups] + rng.standard_normal((len(groups), 1500))
    result = group_bootstrap(lambda rows: values[rows].mean(axis=0), groups, rng)
    assert ((result.low <= 0) & (result.high >= 0)).mean() == pytest.approx(0.95, abs=0.02)


def test_every_metric_of_many_probes_and_no_draw_without_a_class():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(30), 4)
    y = np.where(groups < 2, 1, -1)
    scores = y[:, None] * [1.0, 0.2] + rng.standard_normal((120, 2))

    def f1_and_area(rows):
        result = classification_metrics(y[rows], scores[rows], only=["f1_score", "roc_auc"])
        return np.stack([result["f1_score"], result["roc_auc"]])

    result = group_bootstrap(f1_and_area, groups, rng, labels=y, n_resamples=200)
    assert result.low.shape == (2, 2)
    assert (result.low <= f1_and_area(np.arange(120))).all()
    assert (result.high >= f1_and_area(np.arange(120))).all()
    with pytest.raises(ProbeError, match="both classes"):
        group_bootstrap(f1_and_area, groups, rng, n_resamples=200)


def test_mixed_groups_are_drawn_among_themselves():
    groups = np.array([0, 0, 1, 1, 2, 3, 4, 4])
    labels = np.array([1, -1, 1, -1, -1, -1, 1, 1])
    drawn = []

    def count(rows):
        drawn.append(np.bincount(groups[rows] // 2, minlength=3))
        return 0.0

    group_bootstrap(count, groups, np.random.default_rng(0), labels=labels, n_resamples=50)
    assert {tuple(counts) for counts in drawn} == {(4, 2, 2)}


def test_same_generator_same_interval():
    values, groups = np.arange(20.0), np.arange(20) // 2
    first, again = (group_bootstrap(lambda rows: values[rows].max(), groups, np.random.default_rng(3)) for _ in "ab")
    assert first == again


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"groups": [0, 0, 1, 1, 2, 3]}, "4 groups.*at least 5 groups"),
        ({"level": 0.0}, "level 0.0"),
        ({"n_resamples": 1}, "1 resamples"),
        ({"labels": [1, -1]}, "one length"),
    ],
)
def test_errors(changes, message):
    arguments = {"groups": range(6), **changes}
    with pytest.raises(ProbeError, match=message):
        group_bootstrap(lambda rows: 0.0, rng=np.random.default_rng(0), **arguments)
