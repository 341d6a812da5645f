"""Rankings by the order of values: areas and mutual information against references."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.feature_selection import mutual_info_classif
from sklearn.metrics import mutual_info_score, roc_auc_score

from sparse_probing.probes.rankings import rank_neurons
from sparse_probing.probes.rankings.order_statistics import TIE_BREAK
from sparse_probing.probes.rankings.top_neurons import top_neurons
from tests.builders.layers import growing_shifts
from tests.builders.references import bins_of_equal_counts


def rank(name, X, y):
    return rank_neurons(X, y, name, np.random.default_rng(0))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_areas_equal_scikit_learn(dtype):
    X, y = growing_shifts(600, 30, dtype=dtype)
    areas = np.array([roc_auc_score(y, column.astype(np.float64)) for column in X.T])
    assert rank("auc", X, y) == pytest.approx(np.abs(areas - 0.5), abs=2 * TIE_BREAK)


def test_of_neurons_without_an_error_the_one_that_separates_the_classes_most_is_first():
    rng = np.random.default_rng(0)
    y = np.where(np.arange(200) % 10 == 0, 1.0, -1.0)
    gaps = np.array([0.1, 1.0, 30.0, 3.0])
    X = rng.random((200, 4)) + (y[:, None] > 0) * (1 + gaps)
    assert top_neurons(rank("auc", X, y), 4).tolist() == [2, 3, 1, 0]
    # A neuron on another scale, or of the other sign, has the same place.
    assert top_neurons(rank("auc", X * [1e3, -1e-3, 1e-6, 1], y), 4).tolist() == [2, 3, 1, 0]
    X[y > 0, 2] = rng.permutation(np.linspace(0.99, 60, 20))  # far away, with one error
    assert top_neurons(rank("auc", X, y), 4).tolist() == [3, 1, 0, 2]


@settings(max_examples=40)
@given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.sampled_from([np.float16, np.float32]))
def test_areas_with_many_ties_and_both_zeros(seed, levels, dtype):
    rng = np.random.default_rng(seed)
    X, y = (rng.integers(-levels, levels + 1, (30, 5)) / 2).astype(dtype), np.tile([1, -1, -1], 10)
    X[rng.random(X.shape) < 0.3] = -0.0
    X[0], X[1] = 0, 1
    areas = np.array([roc_auc_score(y, column.astype(np.float64)) for column in X.T])
    assert rank("auc", X, y) == pytest.approx(np.abs(areas - 0.5), abs=2 * TIE_BREAK)


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1), st.integers(20, 300), st.sampled_from([1, 3, 1000]))
def test_informations_equal_those_of_a_contingency_table(seed, n, levels):
    rng = np.random.default_rng(seed)
    X, y = rng.integers(-levels, levels + 1, (n, 4)).astype(np.float16), np.where(rng.random(n) < 0.4, 1, -1)
    y[:2], X[0], X[1] = [1, -1], 0, 1
    expected = [mutual_info_score(y, bins_of_equal_counts(column)) for column in X.T]
    assert rank("mi", X, y) == pytest.approx(expected, abs=1e-12)


def test_a_neuron_that_is_the_label_has_all_information():
    y = np.tile([1, -1, -1, -1], 100)
    share = np.array([0.25, 0.75])
    X = np.column_stack([y, np.arange(400)])
    of_label, of_position = rank("mi", X, y)
    assert of_label == pytest.approx(-(share @ np.log(share)))
    assert of_position < 0.01


def test_informations_agree_with_nearest_neighbours():
    X, y = growing_shifts(3000, 12, dtype=np.float32)
    X[:, 4] *= y  # a dependence without a difference of means
    ours, theirs = rank("mi", X, y), mutual_info_classif(X, y, random_state=0)
    assert np.abs(ours - theirs).max() < 0.03
    assert top_neurons(ours, 1) == np.argmax(theirs)


@pytest.mark.parametrize("name", ["auc", "mi"])
def test_blind_to_monotone_maps(name):
    X, y = growing_shifts(600, 30, dtype=np.float32)
    assert rank(name, np.exp(X.astype(np.float64)), y) == pytest.approx(rank(name, X, y), abs=2 * TIE_BREAK)
