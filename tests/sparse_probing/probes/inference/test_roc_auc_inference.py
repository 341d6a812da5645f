"""Areas under the ROC curve: definitions over all pairs, coverage, p-values, perfect neurons, errors."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import mannwhitneyu, norm
from sklearn.metrics import roc_auc_score

from probing_datasets.foundation.errors import ProbeError
from sparse_probing.probes.inference.roc_auc_inference import roc_inference
from tests.builders.layers import binormal_groups, tied_scores_in_groups
from tests.builders.references import delong_error, obuchowski_error


@settings(deadline=None, max_examples=60)
@given(tied_scores_in_groups())
def test_equal_to_the_definitions_over_all_pairs(case):
    y, scores, groups = case
    independent, clustered = roc_inference(y, scores), roc_inference(y, scores, groups)
    for column, values in enumerate(scores.T):
        assert independent.roc_auc[column] == pytest.approx(roc_auc_score(y, values), abs=1e-12)
        assert independent.standard_error[column] == pytest.approx(delong_error(y, values), abs=1e-12)
        assert clustered.roc_auc[column] == independent.roc_auc[column]
        assert clustered.standard_error[column] == pytest.approx(obuchowski_error(y, values, groups), abs=1e-12)


@settings(deadline=None, max_examples=60)
@given(tied_scores_in_groups(), st.sampled_from(["logit", "linear"]))
def test_laws_of_intervals(case, scale):
    y, scores, groups = case
    result, flipped = (roc_inference(y, values, groups, scale=scale) for values in (scores, -scores))
    assert ((result.low >= 0) & (result.low <= result.roc_auc + 1e-12)).all()
    assert ((result.high <= 1) & (result.high >= result.roc_auc - 1e-12)).all()
    np.testing.assert_allclose(flipped.low, 1 - result.high, atol=1e-12)
    np.testing.assert_allclose(flipped.p_value, result.p_value, atol=1e-12)
    wider = roc_inference(y, scores, groups, level=0.99, scale=scale)
    assert (wider.low <= result.low + 1e-12).all()
    # 1/2 is outside the interval where the p-value is below 0.05; few groups bound p-values from below.
    estimated, outside = result.standard_error > 0, (result.low > 0.5) | (result.high < 0.5)
    assert outside[estimated & (result.p_value < 0.05)].all()
    assert (result.p_value[estimated & ~outside] > 0.05 - 1e-12).all()


@pytest.mark.parametrize("shift", [0.0, 1.5])
def test_coverage_of_grouped_rows_and_without_groups_far_too_little(shift):
    y, scores, groups = binormal_groups(0.6, shift, 90, 8, 1500, np.random.default_rng(0))
    truth = norm.cdf(shift / np.sqrt(2))

    def coverage(result):
        return ((result.low <= truth) & (truth <= result.high)).mean()

    assert coverage(roc_inference(y, scores, groups)) == pytest.approx(0.95, abs=0.025)
    assert coverage(roc_inference(y, scores, groups, scale="linear")) == pytest.approx(0.95, abs=0.03)
    assert coverage(roc_inference(y, scores)) < 0.8


def test_logit_intervals_cover_better_near_one():
    y, scores, groups = binormal_groups(0, 3.0, 60, 1, 3000, np.random.default_rng(1))
    truth = norm.cdf(3 / np.sqrt(2))
    misses = {}
    for scale in ("logit", "linear"):
        result = roc_inference(y, scores, groups, scale=scale)
        misses[scale] = 1 - ((result.low <= truth) & (truth <= result.high)).mean()
    assert misses["logit"] < 0.08 < misses["linear"]


def test_p_values_of_noise_are_uniform_and_without_groups_too_small():
    y, scores, groups = binormal_groups(0.7, 0, 150, 6, 2000, np.random.default_rng(2))
    honest, naive = roc_inference(y, scores, groups).p_value, roc_inference(y, scores).p_value
    for level in (0.05, 0.2, 0.5):
        assert (honest < level).mean() == pytest.approx(level, abs=0.03)
    assert (naive < 0.05).mean() > 0.15


def test_p_values_are_near_those_of_mann_and_whitney():
    y, scores, _ = binormal_groups(0, 0.1, 400, 1, 50, np.random.default_rng(3))
    result = roc_inference(y, scores).p_value
    expected = mannwhitneyu(scores[y == 1], scores[y == -1]).pvalue
    np.testing.assert_allclose(result, expected, atol=0.02)


def test_perfect_neurons_of_few_groups_are_not_certain():
    groups = np.arange(20)
    y = np.where(groups < 3, 1, -1)
    result = roc_inference(y, np.stack([y, -y, np.zeros(20)], axis=1), groups)
    assert result.roc_auc.tolist() == [1, 0, 0.5]
    # 3 positives give 3 disjoint pairs, and 20 choose 3 = 1140 ways to label.
    np.testing.assert_allclose(result.low[:2], [0.025 ** (1 / 3), 0])
    np.testing.assert_allclose(result.high[:2], [1, 1 - 0.025 ** (1 / 3)])
    np.testing.assert_allclose(result.p_value, [2 / 1140, 2 / 1140, 1])


def test_bound_of_a_perfect_area_is_never_too_high():
    rng = np.random.default_rng(0)
    truth, covered = norm.cdf(2.5 / np.sqrt(2)), []
    for _ in range(20):
        y, scores, _ = binormal_groups(0, 2.5, 15, 1, 200, rng)
        result = roc_inference(y, scores)
        perfect = result.roc_auc == 1
        covered += (result.low[perfect] <= truth).tolist()
    assert len(covered) > 200
    assert all(covered)


@pytest.mark.parametrize(
    ("y", "changes", "message"),
    [
        ([1, 1, -1, -1], {"groups": [0, 0, 1, 2]}, "All 2 positive rows are of one group"),
        ([1, 1, 1, -1], {}, "All 1 negative rows are of one group"),
        ([1, 1, -1, -1], {"groups": [0, 1]}, r"4 rows but groups of shape \(2,\)"),
        ([1, 1, -1, -1], {"level": 1.0}, "level is 1.0"),
    ],
)
def test_errors(y, changes, message):
    with pytest.raises(ProbeError, match=message):
        roc_inference(y, np.arange(4.0)[:, None], **changes)
