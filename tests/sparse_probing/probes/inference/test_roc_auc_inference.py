"""Areas under the ROC curve: definitions over all pairs, coverage, p-values, perfect neurons, errors."""

from math import comb

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


@settings(max_examples=60)
@given(tied_scores_in_groups())
def test_equal_to_the_definitions_over_all_pairs(case):
    y, scores, groups = case
    independent, clustered = roc_inference(y, scores), roc_inference(y, scores, groups)
    for column, values in enumerate(scores.T):
        assert independent.roc_auc[column] == pytest.approx(roc_auc_score(y, values), abs=1e-12)
        assert independent.standard_error[column] == pytest.approx(delong_error(y, values), abs=1e-12)
        assert clustered.roc_auc[column] == independent.roc_auc[column]
        assert clustered.standard_error[column] == pytest.approx(obuchowski_error(y, values, groups), abs=1e-12)


@settings(max_examples=100)
@given(tied_scores_in_groups(), st.sampled_from([0.5, 0.9, 0.95, 0.999]))
def test_laws_of_intervals(case, level):
    y, scores, groups = case
    result, flipped = (roc_inference(y, values, groups, level=level) for values in (scores, -scores))
    assert ((result.low >= 0) & (result.low <= result.roc_auc + 1e-12)).all()
    assert ((result.high <= 1) & (result.high >= result.roc_auc - 1e-12)).all()
    np.testing.assert_allclose(flipped.low, 1 - result.high, atol=1e-12)
    np.testing.assert_allclose(flipped.p_value, result.p_value, atol=1e-9)
    wider = roc_inference(y, scores, groups, level=1 - (1 - level) / 5)
    assert (wider.low <= result.low + 1e-12).all()
    assert (wider.p_value == result.p_value).all()
    # The interval excludes 1/2 exactly where the p-value is below 1 - level.
    outside = (result.low > 0.5) | (result.high < 0.5)
    assert (outside == (result.p_value < 1 - level)).all()


@settings(max_examples=40)
@given(st.integers(0, 2**32 - 1), st.integers(2, 12), st.sampled_from([1, 4]))
def test_bounds_grow_while_one_class_moves_up(seed, n_positive_groups, rows_per_group):
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(5 * n_positive_groups), rows_per_group)
    y = np.where(groups < n_positive_groups, 1, -1)
    column = rng.standard_normal(groups.max() + 1)[groups] + rng.standard_normal(len(groups))
    result = roc_inference(y, column[:, None] + np.linspace(0, 12, 40) * (y > 0)[:, None], groups)
    assert result.roc_auc[-1] == 1
    assert (np.diff(result.roc_auc) >= 0).all()
    assert (np.diff(result.low) >= -1e-12).all()
    assert (np.diff(result.high) >= -1e-12).all()


def test_bounds_of_single_rows_depend_on_the_area_and_grow_with_it():
    rng = np.random.default_rng(0)
    y = np.where(np.arange(90) < 9, 1, -1)
    result = roc_inference(y, rng.standard_normal((90, 400)) * rng.uniform(0.2, 4, 400) + 2.5 * (y > 0)[:, None])
    order = np.argsort(result.roc_auc)
    assert (np.diff(result.low[order]) >= -1e-12).all()
    assert (np.diff(result.high[order]) >= -1e-12).all()
    assert result.roc_auc.max() == 1


def test_a_perfect_area_has_the_highest_bound_and_agrees_with_its_p_value():
    y = np.repeat([1, -1], [9, 81])
    perfect = np.arange(90, 0, -1.0)
    swapped = perfect.copy()
    swapped[[8, 9]] = perfect[[9, 8]]  # one pair of 729 is in the wrong order
    result = roc_inference(y, np.stack([perfect, swapped], axis=1))
    np.testing.assert_allclose(result.roc_auc, [1, 1 - 1 / 729])
    assert 0.8 < result.low[1] < result.low[0] < 1
    assert result.p_value[0] == pytest.approx(2 / comb(90, 9), rel=1e-6)
    assert result.p_value[0] < result.p_value[1] < 1e-10


@pytest.mark.parametrize("shift", [0.0, 1.5])
def test_coverage_of_grouped_rows_and_without_groups_far_too_little(shift):
    y, scores, groups = binormal_groups(0.6, shift, 90, 8, 1500, np.random.default_rng(0))
    truth = norm.cdf(shift / np.sqrt(2))

    def coverage(result):
        return ((result.low <= truth) & (truth <= result.high)).mean()

    assert coverage(roc_inference(y, scores, groups)) == pytest.approx(0.955, abs=0.025)
    assert coverage(roc_inference(y, scores)) < 0.8


@pytest.mark.parametrize("truth", [0.7, 0.9, 0.95, 0.99])
@pytest.mark.parametrize(("n_groups", "rows_per_group"), [(27, 1), (27, 6), (60, 1), (60, 6), (180, 3)])
def test_coverage_near_one_with_few_groups(truth, n_groups, rows_per_group):
    shift, rng = np.sqrt(2) * norm.ppf(truth), np.random.default_rng(n_groups)
    y, scores, groups = binormal_groups(0.6 * (rows_per_group > 1), shift, n_groups, rows_per_group, 600, rng)
    result = roc_inference(y, scores, groups)
    assert ((result.low <= truth) & (truth <= result.high)).mean() > 0.93


@pytest.mark.parametrize("n_groups", [9, 30])
def test_coverage_with_both_classes_in_every_group(n_groups):
    rng, covered = np.random.default_rng(n_groups), []
    groups = np.repeat(np.arange(n_groups), 10)
    for truth in (0.6, 0.9, 0.97):
        y = np.where(rng.random(len(groups)) < 0.2, 1, -1)
        scores = rng.standard_normal((n_groups, 300))[groups] + rng.standard_normal((len(groups), 300))
        result = roc_inference(y, scores + 2 * norm.ppf(truth) * (y > 0)[:, None], groups)
        covered.append(((result.low <= truth) & (truth <= result.high)).mean())
    assert min(covered) > 0.93


@pytest.mark.parametrize("labels", ["pure", "rows"])
@pytest.mark.parametrize("n_positive_groups", [9, 60, 200])
def test_coverage_where_positives_vary_more_than_negatives(labels, n_positive_groups):
    covered, truths = [], (0.9, 0.95, 0.99)
    for draw in range(10):
        rng = np.random.default_rng((n_positive_groups, draw))
        n_groups = n_positive_groups * (4 if labels == "pure" else 1)
        groups = np.repeat(np.arange(n_groups), 1 if labels == "pure" else 6)
        y = np.where(groups < n_positive_groups if labels == "pure" else rng.random(len(groups)) < 0.2, 1, -1)
        noise = rng.standard_normal((n_groups, 180))[groups] + rng.standard_normal((len(groups), 180))
        noise /= np.sqrt(2)
        shift = np.sqrt(1 + 1.8**2) * norm.ppf(truths)[np.arange(180) % 3]
        result = roc_inference(y, np.where((y > 0)[:, None], 1.8 * noise + shift, noise), groups)
        truth = np.array(truths)[np.arange(180) % 3]
        covered.append((result.low <= truth) & (truth <= result.high))
    assert (np.concatenate([c.reshape(60, 3) for c in covered]).mean(axis=0) > 0.92).all()


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
    # 20 choose 3 = 1140 ways to label.
    np.testing.assert_allclose(result.p_value, [2 / 1140, 2 / 1140, 1])
    assert 0.5 < result.low[0] < 0.75
    np.testing.assert_allclose(result.low, 1 - result.high[[1, 0, 2]])


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
