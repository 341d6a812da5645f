"""Recall and area at few false positives against scikit-learn; thresholds against their definition."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score, roc_curve

from probing_datasets.foundation.errors import ProbeError
from sparse_probing.probes.metrics.monitor_metrics import partial_roc_auc, recall_at, resolution_note, threshold_at


@st.composite
def scored_rows(draw):
    """Labels with both classes, and scores with many ties."""
    n = draw(st.integers(2, 60))
    positive = np.array(draw(st.lists(st.booleans(), min_size=n, max_size=n)))
    positive[:2] = [True, False]
    scores = np.array(draw(st.lists(st.integers(-6, 6), min_size=n, max_size=n)), dtype=float)
    return np.where(positive, 1, -1), scores


@settings(max_examples=60)
@given(rows=scored_rows(), rate=st.sampled_from([0.0, 0.001, 0.01, 0.05, 0.1, 0.25, 1 / 3, 0.5, 1.0]))
def test_recall_equals_the_roc_curve(rows, rate):
    y, scores = rows
    fpr, tpr, _ = roc_curve(y, scores, drop_intermediate=False)
    assert recall_at(y, scores[:, None], rate)[0] == pytest.approx(tpr[fpr <= rate + 1e-12].max(), abs=1e-12)


@settings(max_examples=60)
@given(rows=scored_rows(), rate=st.sampled_from([0.001, 0.01, 0.05, 0.1, 0.25, 0.5, 0.99, 1.0]))
def test_partial_area_equals_scikit_learn(rows, rate):
    y, scores = rows
    expected = roc_auc_score(y, scores, max_fpr=rate)
    assert partial_roc_auc(y, scores[:, None], rate)[0] == pytest.approx(expected, abs=1e-12)


def test_columns_are_scored_by_themselves():
    rng = np.random.default_rng(0)
    y, scores = np.where(rng.random(300) < 0.4, 1, -1), rng.normal(size=(300, 3))
    scores[:, 1] += y
    for metric in (recall_at, partial_roc_auc):
        together = metric(y, scores, 0.05)
        np.testing.assert_array_equal(together, [metric(y, scores[:, [i]], 0.05)[0] for i in range(3)])
        assert together[1] > together[0] + 0.1


@settings(max_examples=60)
@given(
    scores=st.lists(st.integers(-20, 20), min_size=1, max_size=80),
    rate=st.sampled_from([0.0, 0.01, 0.05, 0.1, 0.3, 0.5, 1.0]),
)
def test_threshold_is_the_lowest_score_that_keeps_the_rate(scores, rate):
    values = np.array(scores, dtype=float)
    threshold = threshold_at(values, rate, "benign")
    assert threshold.n_alarms == (values > threshold.value).sum()
    assert threshold.n_alarms <= rate * len(values) + 1e-9
    lower = values[values < threshold.value]
    if len(lower) and rate < 1:
        assert (values > lower.max()).sum() > rate * len(values) - 1e-9


def test_threshold_of_fresh_benign_scores_has_about_the_rate():
    rng = np.random.default_rng(1)
    threshold = threshold_at(rng.normal(size=20_000), 0.01, "normal numbers")
    fresh = (rng.normal(size=200_000) > threshold.value).mean()
    assert fresh == pytest.approx(0.01, abs=0.003)
    assert fresh < threshold.rate_high < 0.013
    assert threshold.is_resolved
    assert "0.01 of the 20,000 benign scores of normal numbers" in threshold.origin


def test_what_cannot_be_measured_is_reported():
    threshold = threshold_at(np.arange(300.0), 0.001, "300 reviews")
    assert threshold.value == 299
    assert not threshold.is_resolved
    assert "cannot be measured with 300 negatives (at least 1,000 are needed)" in threshold.origin
    assert resolution_note(1000, 0.001) == ""
    assert resolution_note(999, 0.001) != ""


def test_bad_input():
    with pytest.raises(ProbeError, match="share between 0 and 1, not 5. One percent is 0.01"):
        threshold_at([1.0], 5, "x")
    with pytest.raises(ProbeError, match="vector of finite benign scores"):
        threshold_at([np.nan], 0.1, "x")
    with pytest.raises(ProbeError, match="vector of finite benign scores"):
        threshold_at([], 0.1, "x")
    with pytest.raises(ProbeError, match="rate of 0 is 0 for every score"):
        partial_roc_auc([1, -1], [[1.0], [0.0]], 0)
