"""Rankings by class means: references, tiles of a layer, neurons with one value per class."""

import numpy as np
import pytest
from scipy.stats import ttest_ind
from sklearn.feature_selection import f_classif
from sklearn.preprocessing import StandardScaler

from sparse_probing.probes.rankings import rank_neurons
from tests.builders.layers import growing_shifts
from tests.builders.references import absolute_mean_difference


def rank(name, X, y):
    return rank_neurons(X, y, name, np.random.default_rng(0))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize(("loc", "scale"), [(5, 3), (100, 0.01)])
def test_equal_to_references(dtype, loc, scale):
    X, y = growing_shifts(900, 40, loc, 3.0 if dtype == np.float16 else scale)
    X = X.astype(dtype)
    wide = X.astype(np.float64)
    # The references lose digits themselves where the mean is large.
    rel = 1e-9 if loc == 5 else 1e-6
    assert rank("mean_dif", X, y) == pytest.approx(absolute_mean_difference(wide, y), rel=rel)
    standardised = StandardScaler().fit_transform(wide - loc)
    assert rank("mean_dif_standardised", X, y) == pytest.approx(absolute_mean_difference(standardised, y), rel=rel)
    assert rank("f_stat", X, y) == pytest.approx(f_classif(wide - loc, y)[0], rel=rel)


def test_more_rows_and_columns_than_a_tile():
    X, y = growing_shifts(3000, 150, loc=1e4, scale=1)
    assert rank("f_stat", X, y) == pytest.approx(ttest_ind(X[y > 0], X[y < 0]).statistic ** 2, rel=1e-6)


def test_standardised_differences_rank_as_the_f_statistic():
    X, y = growing_shifts(900, 200, loc=5.0, scale=3.0)
    orders = [np.argsort(rank(name, X, y)) for name in ("mean_dif_standardised", "f_stat", "mean_dif")]
    assert np.array_equal(orders[0], orders[1])
    assert not np.array_equal(orders[0], orders[2])


def test_a_neuron_with_one_value_in_each_class_is_infinitely_good():
    y = np.tile([1, -1, -1], 20)
    X = np.column_stack([np.linspace(0, 1, 60), y])
    assert np.isinf(rank("f_stat", X, y)).tolist() == [False, True]
