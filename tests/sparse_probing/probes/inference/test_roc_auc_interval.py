import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import mannwhitneyu, norm
from sklearn.metrics import roc_auc_score

from probing_datasets.foundation.errors import ProbeError
from sparse_probing.probes.inference.roc_auc_interval import roc_inference


def all_pairs(y, scores):
    """Return placements of positives (m,) and of negatives (n,) by comparing every pair."""
    wins = np.sign(scores[y == 1][:, None] - scores[y == -1]) / 2 + 0.5
    return wins.mean(axis=1), wins.mean(axis=0)


def delong_error(y, scores):
    v10, v01 = all_pairs(y, scores)
    return np.sqrt(v10.var(ddof=1) / len(v10) + v01.var(ddof=1) / len(v01))


def obuchowski_error(y, scores, groups):
    """Return the standard error by the sums over clusters of the paper, one cluster at a time."""
    v10, v01 = all_pairs(y, scores)
    of_positives, of_negatives = groups[y == 1], groups[y == -1]
    area, m, n = v10.mean(), len(v10), len(v01)
    s10 = s01 = s11 = 0.0
    for group in np.unique(groups):
        a = (v10[of_positives == group] - area).sum()
        b = (v01[of_negatives == group] - area).sum()
        s10, s01, s11 = s10 + a * a, s01 + b * b, s11 + a * b
    i10, i01, i = (len(np.unique(codes)) for codes in (of_positives, of_negatives, groups))
    variance = s10 * i10 / (i10 - 1) / m**2 + s01 * i01 / (i01 - 1) / n**2 + 2 * s11 * i / (i - 1) / (m * n)
    return np.sqrt(variance)


@st.composite
def tied_scores(draw):
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n = draw(st.integers(6, 60))
    y = np.where(rng.random(n) < draw(st.floats(0.2, 0.8)), 1, -1)
    groups = rng.integers(0, 12, n) * 5
    y[:4], groups[:4] = [1, -1, 1, -1], [0, 0, 5, 10]
    levels = draw(st.sampled_from([1, 3, 1000]))
    return y, rng.integers(-levels, levels + 1, (n, 3)) + y[:, None] * draw(st.integers(0, 1)), groups


@settings(deadline=None, max_examples=60)
@given(tied_scores())
def test_equal_to_the_definitions_over_all_pairs(case):
    y, scores, groups = case
    alone, clustered = roc_inference(y, scores), roc_inference(y, scores, groups)
    for column, values in enumerate(scores.T):
        assert alone.roc_auc[column] == pytest.approx(roc_auc_score(y, values), abs=1e-12)
        assert alone.standard_error[column] == pytest.approx(delong_error(y, values), abs=1e-12)
        assert clustered.roc_auc[column] == alone.roc_auc[column]
        assert clustered.standard_error[column] == pytest.approx(obuchowski_error(y, values, groups), abs=1e-12)


@settings(deadline=None, max_examples=60)
@given(tied_scores(), st.sampled_from(["logit", "linear"]))
def test_laws_of_intervals(case, scale):
    y, scores, groups = case
    found, flipped = (roc_inference(y, values, groups, scale=scale) for values in (scores, -scores))
    assert ((found.low >= 0) & (found.low <= found.roc_auc + 1e-12)).all()
    assert ((found.high <= 1) & (found.high >= found.roc_auc - 1e-12)).all()
    np.testing.assert_allclose(flipped.low, 1 - found.high, atol=1e-12)
    np.testing.assert_allclose(flipped.p_value, found.p_value, atol=1e-12)
    wider = roc_inference(y, scores, groups, level=0.99, scale=scale)
    assert (wider.low <= found.low + 1e-12).all()
    # A p-value below the complement of the level leaves 1/2 out; few groups keep p-values up.
    estimated, outside = found.standard_error > 0, (found.low > 0.5) | (found.high < 0.5)
    assert outside[estimated & (found.p_value < 0.05)].all()
    assert (found.p_value[estimated & ~outside] > 0.05 - 1e-12).all()


def binormal(effect, shift, n_groups, rows_per_group, n_columns, rng):
    """Return labels of whole groups and scores with what ``effect`` shares within a group."""
    groups = np.repeat(np.arange(n_groups), rows_per_group)
    y = np.where(groups % 3 == 0, 1, -1)
    shared = effect * rng.standard_normal((n_groups, n_columns))[groups]
    own = np.sqrt(1 - effect**2) * rng.standard_normal((len(groups), n_columns))
    return y, shared + own + shift * (y > 0)[:, None], groups


@pytest.mark.parametrize("shift", [0.0, 1.5])
def test_coverage_of_grouped_rows_and_without_groups_far_too_little(shift):
    y, scores, groups = binormal(0.6, shift, 90, 8, 1500, np.random.default_rng(0))
    truth = norm.cdf(shift / np.sqrt(2))

    def coverage(found):
        return ((found.low <= truth) & (truth <= found.high)).mean()

    assert coverage(roc_inference(y, scores, groups)) == pytest.approx(0.95, abs=0.025)
    assert coverage(roc_inference(y, scores, groups, scale="linear")) == pytest.approx(0.95, abs=0.03)
    assert coverage(roc_inference(y, scores)) < 0.8


def test_logit_intervals_cover_better_near_one():
    y, scores, groups = binormal(0, 3.0, 60, 1, 3000, np.random.default_rng(1))
    truth = norm.cdf(3 / np.sqrt(2))
    misses = {}
    for scale in ("logit", "linear"):
        found = roc_inference(y, scores, groups, scale=scale)
        misses[scale] = 1 - ((found.low <= truth) & (truth <= found.high)).mean()
    assert misses["logit"] < 0.08 < misses["linear"]


def test_p_values_of_noise_are_uniform_and_without_groups_too_small():
    y, scores, groups = binormal(0.7, 0, 150, 6, 2000, np.random.default_rng(2))
    honest, naive = roc_inference(y, scores, groups).p_value, roc_inference(y, scores).p_value
    for level in (0.05, 0.2, 0.5):
        assert (honest < level).mean() == pytest.approx(level, abs=0.03)
    assert (naive < 0.05).mean() > 0.15


def test_p_values_are_near_those_of_mann_and_whitney():
    y, scores, _ = binormal(0, 0.1, 400, 1, 50, np.random.default_rng(3))
    found = roc_inference(y, scores).p_value
    expected = mannwhitneyu(scores[y == 1], scores[y == -1]).pvalue
    np.testing.assert_allclose(found, expected, atol=0.02)


def test_perfect_neurons_of_few_groups_are_not_certain():
    groups = np.arange(20)
    y = np.where(groups < 3, 1, -1)
    found = roc_inference(y, np.stack([y, -y, np.zeros(20)], axis=1), groups)
    assert found.roc_auc.tolist() == [1, 0, 0.5]
    # 3 positives give 3 disjoint pairs, and 20 choose 3 = 1140 ways to label.
    np.testing.assert_allclose(found.low[:2], [0.025 ** (1 / 3), 0])
    np.testing.assert_allclose(found.high[:2], [1, 1 - 0.025 ** (1 / 3)])
    np.testing.assert_allclose(found.p_value, [2 / 1140, 2 / 1140, 1])


def test_bound_of_a_perfect_area_is_never_too_high():
    rng = np.random.default_rng(0)
    truth, covered = norm.cdf(2.5 / np.sqrt(2)), []
    for _ in range(20):
        y, scores, _ = binormal(0, 2.5, 15, 1, 200, rng)
        found = roc_inference(y, scores)
        perfect = found.roc_auc == 1
        covered += (found.low[perfect] <= truth).tolist()
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
