import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ttest_ind
from sklearn.feature_selection import f_classif
from sklearn.metrics import roc_auc_score

from experiments.probes.controls import shuffled_labels
from experiments.probes.rankings import RANKINGS, top_neurons
from probing_datasets.foundation.errors import ProbeError

PLANTED = 17


def planted(n=600, d=40, seed=0):
    rng = np.random.default_rng(seed)
    y = np.where(rng.random(n) < 0.3, 1, -1).astype(np.int8)
    X = rng.standard_normal((n, d))
    X[:, PLANTED] += 1.5 * (y > 0)
    return X.astype(np.float32), y


def rank(name, X, y, seed=0):
    return RANKINGS[name](X, y, np.random.default_rng(seed))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_equal_to_independent_references(dtype):
    X, y = planted()
    X = (X * 3 + 5).astype(dtype)
    wide = X.astype(np.float64)
    means = wide[y > 0].mean(axis=0) - wide[y < 0].mean(axis=0)
    assert rank("mean_dif", X, y) == pytest.approx(np.abs(means), abs=1e-12)
    assert rank("f_stat", X, y) == pytest.approx(f_classif(wide, y)[0], rel=1e-9)
    areas = np.array([roc_auc_score(y, column) for column in wide.T])
    assert rank("auc", X, y) == pytest.approx(np.abs(areas - 0.5), abs=1e-12)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32 - 1), st.integers(1, 4))
def test_area_with_many_ties(seed, levels):
    rng = np.random.default_rng(seed)
    X, y = rng.integers(0, levels + 1, (30, 5)).astype(float), np.tile([1, -1, -1], 10)
    X[0], X[1] = 0, 1
    areas = np.array([roc_auc_score(y, column) for column in X.T])
    assert rank("auc", X, y) == pytest.approx(np.abs(areas - 0.5), abs=1e-12)


@pytest.mark.parametrize("name", ["mean_dif", "f_stat", "auc"])
def test_planted_neuron_is_first_whatever_its_sign(name):
    X, y = planted()
    X[:, 3] = -X[:, PLANTED] * 0.99
    assert set(top_neurons(rank(name, X, y), 2)) == {3, PLANTED}


@pytest.mark.parametrize("name", ["mean_dif", "f_stat", "auc"])
def test_control_shuffled_labels_do_not_find_it(name):
    X, y = planted()
    first = []
    for seed in range(40):
        control = shuffled_labels(y, np.arange(len(y)), np.random.default_rng(seed))
        first.append(top_neurons(rank(name, X, control), 1)[0])
    assert np.mean(np.array(first) == PLANTED) < 0.25


def test_control_random_ranking_does_not_find_it():
    X, y = planted()
    first = [top_neurons(rank("random", X, y, seed), 1)[0] for seed in range(60)]
    assert np.mean(np.array(first) == PLANTED) < 0.25
    assert len(set(first)) > 15


@pytest.mark.parametrize("name", RANKINGS)
def test_constant_columns_are_last_and_nothing_is_nan(name):
    X, y = planted(d=20)
    X[:, [2, 5]], X[:, 7] = [0, 0.1], y
    scores = rank(name, X, y)
    assert not np.isnan(scores).any()
    assert np.isneginf(scores).nonzero()[0].tolist() == [2, 5]
    assert top_neurons(scores, 20)[-2:].tolist() == [2, 5]


@pytest.mark.parametrize("name", RANKINGS)
def test_same_seed_same_scores(name):
    X, y = planted()
    assert np.array_equal(rank(name, X, y, 3), rank(name, X, y, 3))


@pytest.mark.parametrize("name", ["mean_dif", "f_stat", "auc"])
def test_permuting_columns_permutes_scores(name):
    X, y = planted()
    order = np.random.default_rng(1).permutation(X.shape[1])
    assert rank(name, X[:, order], y) == pytest.approx(rank(name, X, y)[order], rel=1e-12)


def test_rows_in_many_blocks():
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((3000, 50)) + 1e4, np.tile([1, -1, -1], 1000)
    assert rank("f_stat", X, y) == pytest.approx(ttest_ind(X[y > 0], X[y < 0]).statistic ** 2, rel=1e-6)


def test_top_neurons_are_ordered_and_stable():
    assert top_neurons([1, 3, 3, 0, 3], 4).tolist() == [1, 2, 4, 0]
    assert top_neurons([1, 2], 1).dtype == np.int64


@pytest.mark.parametrize("k", [0, 3])
def test_top_neurons_refuses_impossible_k(k):
    with pytest.raises(ProbeError, match="Choose k between 1 and 2"):
        top_neurons([1.0, 2.0], k)


def test_errors():
    with pytest.raises(ProbeError, match="NaN"):
        top_neurons([np.nan, 1.0], 1)
    with pytest.raises(ProbeError, match="both classes"):
        rank("mean_dif", np.ones((3, 2)), [1, 1, 1])
    with pytest.raises(ProbeError, match="Row 1, column 1 is inf"):
        rank("auc", [[1, 2], [1, np.inf]], [1, -1])
