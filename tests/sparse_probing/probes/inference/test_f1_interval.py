"""Intervals of F1: Wilson's for independent rows, coverage with few groups and near 1, errors."""

import numpy as np
import pytest
from scipy.stats import binomtest, norm, t
from sklearn.metrics import f1_score

from probing_datasets.foundation.errors import ProbeError
from sparse_probing.probes.inference.f1_interval import f1_interval


def test_of_many_independent_rows_it_is_wilsons_of_the_jaccard_index():
    y, predicted = np.repeat([1, 1, -1, -1], [60, 20, 30, 400]), np.repeat([1, -1, 1, -1], [60, 20, 30, 400])
    low, high = f1_interval(y, predicted, level=0.9)
    # SciPy's Wilson interval at the level at which the normal quantile is that of t.
    level = 1 - 2 * norm.sf(t.ppf(0.95, 79))
    wilson = binomtest(60, 110).proportion_ci(level, method="wilson")
    np.testing.assert_allclose([low, high], [2 * end / (1 + end) for end in wilson], atol=3e-3)
    assert low < f1_score(y, predicted) < high


@pytest.mark.parametrize("n_groups", [6, 9, 20, 60])
@pytest.mark.parametrize(("rows_per_group", "shift"), [(1, 1.5), (1, 3.5), (6, 1.5), (6, 3.5)])
def test_coverage_with_few_groups_also_of_nearly_perfect_probes(n_groups, rows_per_group, shift):
    rng, effect = np.random.default_rng(0), 0.7 if rows_per_group > 1 else 0

    def draw(n):
        groups = np.repeat(np.arange(n), rows_per_group)
        y = np.where(groups < n // 4, 1, -1)
        noise = effect * rng.standard_normal(n)[groups] + np.sqrt(1 - effect**2) * rng.standard_normal(len(groups))
        return y, noise + shift * ((y > 0) - 0.6), groups

    truth, covered = f1_score(*[np.sign(part) for part in draw(120_000)[:2]]), []
    for _ in range(300):
        y, scores, groups = draw(4 * n_groups)
        low, high = f1_interval(y, scores, groups)
        covered.append(low <= truth <= high)
    assert np.mean(covered) > 0.93


def test_a_perfect_probe_has_an_interval_that_shrinks_with_the_groups():
    lows = []
    for n in (3, 9, 60):
        y = np.repeat([1, -1], [4 * n, 40 * n])
        low, high = f1_interval(y, y, np.arange(len(y)) // 4)
        assert high == 1
        lows.append(low)
    assert lows == sorted(lows)
    assert lows[0] < 0.6 < 0.9 < lows[2] < 1
    assert f1_interval([1, 1, -1], [-1, -1, 1])[0] == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([1, 1, -1], [1, 1, -1], [0, 0, 1]), "of 1 group"),
        (([-1, -1], [1, 1]), "of 0 group"),
        (([1, 1], [1]), "vectors of one length"),
        (([1, 1], [1, 1], [0, 1], 1.0), "between 0 and 1, not 1.0"),
    ],
)
def test_errors(arguments, message):
    with pytest.raises(ProbeError, match=message):
        f1_interval(*arguments)
