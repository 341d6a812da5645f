"""Every ranking finds a planted neuron, which its controls do not find, and follows the laws of rankings."""

import typing

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probing_datasets.foundation.errors import ProbeError
from sparse_probing.config.probing import RankingName
from sparse_probing.probes.inference.shuffled_labels import shuffled_labels
from sparse_probing.probes.inputs.validation import LabelledRows
from sparse_probing.probes.rankings import RANKINGS, rank_layer, rank_neurons
from sparse_probing.probes.rankings.top_neurons import top_neurons
from tests.builders.layers import PLANTED, planted_neuron, two_features_and_a_control

INFORMATIVE = sorted(set(RANKINGS) - {"random"})
BLIND_TO_SCALE = sorted(set(INFORMATIVE) - {"mean_dif"})
MODELS = {"lr", "svm"}


def rank(name, X, y, seed=0):
    return rank_neurons(X, y, name, np.random.default_rng(seed))


def same(name, scores, expected):
    """Models are fitted to a tolerance; all other rankings are exact."""
    return np.allclose(scores, expected, rtol=1e-6, atol=2e-3 * np.max(expected) if name in MODELS else 1e-9)


def test_every_ranking_is_a_setting():
    assert set(RANKINGS) == set(typing.get_args(RankingName))


@pytest.mark.parametrize("name", INFORMATIVE)
def test_planted_neuron_is_first(name):
    X, y = planted_neuron()
    assert top_neurons(rank(name, X, y), 1) == [PLANTED]
    assert top_neurons(rank(name, -X, y), 1) == [PLANTED]


@pytest.mark.parametrize("name", INFORMATIVE)
def test_control_shuffled_labels_do_not_find_it(name):
    X, y = planted_neuron()
    rngs = [np.random.default_rng(seed) for seed in range(40)]
    rows = np.arange(len(y))
    controls = [LabelledRows(rows, shuffled_labels(y, rows, rng)) for rng in rngs]
    first = [top_neurons(scores, 1)[0] for scores in rank_layer(X, controls, name, rngs)]
    assert np.mean(np.array(first) == PLANTED) < 0.25


def test_control_random_ranking_does_not_find_it():
    X, y = planted_neuron()
    first = [top_neurons(rank("random", X, y, seed), 1)[0] for seed in range(60)]
    assert np.mean(np.array(first) == PLANTED) < 0.25
    assert len(set(first)) > 15


@pytest.mark.parametrize("name", RANKINGS)
@pytest.mark.parametrize("order", ["C", "F", "strided"])
def test_features_of_a_layer_are_ranked_as_if_each_were_the_only_one(name, order):
    layer = planted_neuron(3000, 70)[0].astype(np.float16)
    layer = np.repeat(layer, 2, axis=1)[:, ::2] if order == "strided" else np.array(layer, order=order)
    layer.flags.writeable = False
    features = two_features_and_a_control(len(layer))
    together = rank_layer(layer, features, name, [np.random.default_rng(i) for i in range(3)])
    assert together.shape == (3, 70)
    for i, (feature, scores) in enumerate(zip(features, together, strict=True)):
        assert same(name, scores, rank(name, layer[feature.row], feature.label, seed=i))


@pytest.mark.parametrize("name", RANKINGS)
def test_columns_that_are_constant_on_the_rows_are_last_and_nothing_is_nan(name):
    X, y = planted_neuron(d=20)
    X[:, [2, 5]], X[:, 7] = [0, 0.1], y
    X[300:, 9] = 3
    features = [LabelledRows(np.arange(600), y), LabelledRows(np.arange(300, 600), y[300:])]
    scores = rank_layer(X, features, name, [np.random.default_rng(0)] * 2)
    assert not np.isnan(scores).any()
    assert [np.flatnonzero(np.isneginf(row)).tolist() for row in scores] == [[2, 5], [2, 5, 9]]
    assert top_neurons(scores[0], 20)[-2:].tolist() == [2, 5]


@pytest.mark.parametrize("name", RANKINGS)
def test_same_seed_same_scores(name):
    X, y = planted_neuron()
    assert np.array_equal(rank(name, X, y, 3), rank(name, X, y, 3))


@pytest.mark.parametrize("name", INFORMATIVE)
@settings(max_examples=5)
@given(seed=st.integers(0, 2**32 - 1))
def test_permuting_columns_permutes_scores_and_relabelling_leaves_them(name, seed):
    X, y = planted_neuron(200, 25, seed)
    order = np.random.default_rng(seed).permutation(X.shape[1])
    scores = rank(name, X, y)
    assert same(name, rank(name, X[:, order], y), scores[order])
    assert same(name, rank(name, X, -y), scores)


@pytest.mark.parametrize("name", BLIND_TO_SCALE)
@settings(max_examples=5)
@given(seed=st.integers(0, 2**32 - 1), power=st.integers(-8, 8))
def test_scale_of_a_column_changes_only_raw_means(name, seed, power):
    X, y = planted_neuron(200, 25, seed)
    scores = rank(name, X, y)
    X[:, 3] *= 2.0**power
    assert same(name, rank(name, X, y), scores)


def test_top_neurons_are_ordered_and_stable():
    assert top_neurons([1, 3, 3, 0, 3], 4).tolist() == [1, 2, 4, 0]
    assert top_neurons([1, 2], 1).dtype == np.int64


@pytest.mark.parametrize("k", [0, 3])
def test_top_neurons_refuses_impossible_k(k):
    with pytest.raises(ProbeError, match="Choose k between 1 and 2"):
        top_neurons([1.0, 2.0], k)


@pytest.mark.parametrize(
    ("rows", "labels", "message"),
    [
        ([0, 1], [1, 1], "both classes"),
        ([0, 1], [1, 0], "must be -1 or \\+1"),
        ([0, 1, 2], [1, -1], "3 rows but 2 labels"),
        ([1, 0], [1, -1], "increasing"),
        ([0.0, 1.0], [1, -1], "increasing"),
        ([0, 3], [1, -1], "not all among the 3 rows"),
        ([-1, 2], [1, -1], "not all among the 3 rows"),
    ],
)
def test_features_that_do_not_fit_the_layer(rows, labels, message):
    feature = LabelledRows(np.array(rows), np.array(labels, dtype=float))
    with pytest.raises(ProbeError, match=message):
        rank_layer(np.eye(3), [feature], "mean_dif", [np.random.default_rng(0)])


def test_errors():
    with pytest.raises(ProbeError, match="NaN"):
        top_neurons([np.nan, 1.0], 1)
    with pytest.raises(ProbeError, match="both classes"):
        rank("mean_dif", np.ones((3, 2)), [1, 1, 1])
    with pytest.raises(ProbeError, match="Row 1, column 1 is inf"):
        rank("auc", [[1, 2], [1, np.inf]], [1, -1])
    with pytest.raises(ProbeError, match="no ranking 'best'. Choose from mean_dif"):
        rank("best", np.eye(2), [1, -1])
    with pytest.raises(ProbeError, match="0 features and 1 generators"):
        rank_layer(np.eye(2), [], "auc", [np.random.default_rng(0)])
