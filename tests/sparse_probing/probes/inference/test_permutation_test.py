"""Permutation tests: the statistic, SciPy, the level on noise, planted neurons, errors."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import false_discovery_control, permutation_test
from sklearn.metrics import roc_auc_score

from probing_datasets.foundation.errors import ProbeError
from sparse_probing.probes.inference.permutation_test import distance_from_chance, max_statistic_test
from sparse_probing.probes.inference.roc_auc_inference import roc_inference
from tests.builders.layers import null_labels_of_sequences


@settings(max_examples=20)
@given(st.integers(0, 2**32 - 1), st.sampled_from([np.float16, np.float32, np.float64]))
def test_statistic_is_the_distance_of_the_area_from_chance(seed, dtype):
    rng = np.random.default_rng(seed)
    X = rng.integers(-3, 4, (50, 4)).astype(dtype)
    y = np.where(rng.random(50) < 0.4, 1, -1)
    y[:2] = 1, -1
    expected = [abs(roc_auc_score(y, column.astype(float)) - 0.5) for column in X.T]
    np.testing.assert_allclose(distance_from_chance(X)(y[:, None])[:, 0], expected, atol=1e-12)


def test_near_scipy_for_one_neuron():
    X, labels, sequences = null_labels_of_sequences(0, d=1)
    X[labels == 1] += 0.6
    result = max_statistic_test(distance_from_chance(X), labels, sequences, 2000, np.random.default_rng(0))
    peer = permutation_test(
        (X[labels == 1, 0], X[labels == -1, 0]),
        lambda a, b: abs(roc_auc_score(np.repeat([1, -1], [len(a), len(b)]), np.concatenate([a, b])) - 0.5),
        n_resamples=300,
        alternative="greater",
        rng=1,
    )
    assert result.p_value == pytest.approx(peer.pvalue, abs=0.04)
    assert result.p_values[0] == (1 + (result.null_maxima >= result.statistic[0]).sum()) / 2001


def test_step_down_by_the_book():
    observed = np.array([3.0, 9.0, 5.0])
    nulls = np.array([[9.5, 1, 2], [1, 2, 5.5], [3.5, 1, 1], [0, 0, 0]])
    values = iter([observed[:, None], nulls.T])
    result = max_statistic_test(lambda labels: next(values), [1, -1], [0, 1], 4, np.random.default_rng(0))
    # Neuron 1 against all: 1 of 4. Then 2 against {2, 0}: 2 of 4. Then 0 against itself: 2 of 4.
    np.testing.assert_allclose(result.p_values, [3 / 5, 2 / 5, 3 / 5])
    np.testing.assert_allclose(result.null_maxima, [9.5, 5.5, 3.5, 0])


def test_pure_noise_is_rejected_at_the_level_and_uncorrected_p_values_nearly_always():
    rng = np.random.default_rng(0)
    p_values, naive = [], []
    for seed in range(120):
        X, labels, sequences = null_labels_of_sequences(seed)
        test = max_statistic_test(distance_from_chance(X), labels, sequences, 99, rng)
        p_values.append(test.p_value)
        naive.append(roc_inference(labels, X, sequences).p_value)
    assert np.mean(np.array(p_values) <= 0.05) <= 0.05 + 2.5 * np.sqrt(0.05 * 0.95 / 120)
    assert np.mean(np.array(p_values) <= 0.5) == pytest.approx(0.5, abs=0.15)
    assert np.mean(np.min(naive, axis=1) <= 0.05) > 0.7
    corrected = false_discovery_control(np.array(naive), axis=1)
    assert np.mean(corrected.min(axis=1) <= 0.05) < 0.2


def test_planted_neurons_are_found_and_no_other():
    X, labels, sequences = null_labels_of_sequences(1, n_sequences=100, length=3)
    X[:, [4, 30]] += 1.6 * (labels == 1)[:, None]
    test = max_statistic_test(distance_from_chance(X), labels, sequences, 199, np.random.default_rng(0))
    assert test.p_value == 1 / 200
    assert np.flatnonzero(test.p_values < 0.05).tolist() == [4, 30]


def test_control_a_test_of_dependent_rows_finds_neurons_in_noise():
    rng, rejections = np.random.default_rng(0), {"sequences": 0, "rows": 0}
    for seed in range(25):
        X, labels, sequences = null_labels_of_sequences(seed, n_sequences=40, length=10, d=10)
        for name, units in (("sequences", sequences), ("rows", np.arange(len(sequences)))):
            test = max_statistic_test(distance_from_chance(X), labels, units, 39, rng)
            rejections[name] += test.p_value <= 0.05
    assert rejections["sequences"] <= 5
    assert rejections["rows"] >= 20


def test_errors():
    rng = np.random.default_rng(0)
    with pytest.raises(ProbeError, match="0 permutations"):
        max_statistic_test(np.abs, [1, -1], [0, 1], 0, rng)
    with pytest.raises(ProbeError, match="one number per neuron"):
        max_statistic_test(lambda labels: np.full((3, 1), np.nan), [1.0, -1.0], [0, 1], 9, rng)
    with pytest.raises(ProbeError, match="non-empty"):
        distance_from_chance(np.zeros((0, 3)))
    with pytest.raises(ProbeError, match="all of one"):
        distance_from_chance(np.eye(3))(np.ones((3, 1)))
    with pytest.raises(ProbeError, match="-1 or"):
        distance_from_chance(np.eye(3))(np.array([[0], [1], [1]]))
