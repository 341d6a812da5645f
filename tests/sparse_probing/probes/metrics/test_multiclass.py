"""Multiclass metrics against scikit-learn, chance, errors."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as peer

from probing_datasets.foundation.errors import ProbeError
from sparse_probing.probes.metrics.multiclass import multiclass_metrics


@settings(max_examples=40)
@given(st.integers(0, 2**32 - 1), st.integers(1, 60), st.integers(2, 6), st.integers(1, 6))
def test_equal_to_scikit_learn(seed, n, n_classes, n_present):
    rng = np.random.default_rng(seed)
    y = rng.integers(0, min(n_present, n_classes), n)
    scores = rng.integers(0, 4, (n, n_classes)) + (y[:, None] == np.arange(n_classes))
    predicted, classes = scores.argmax(axis=1), np.arange(n_classes)
    result = multiclass_metrics(y, scores)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert np.array_equal(result.confusion, peer.confusion_matrix(y, predicted, labels=classes))
        shares = peer.precision_recall_fscore_support(y, predicted, labels=classes, zero_division=0)
        expected = {
            "precision": shares[0],
            "recall": shares[1],
            "f1_score": shares[2],
            "macro_precision": shares[0].mean(),
            "macro_recall": shares[1].mean(),
            "macro_f1_score": peer.f1_score(y, predicted, labels=classes, average="macro", zero_division=0),
            "weighted_f1_score": peer.f1_score(y, predicted, labels=classes, average="weighted", zero_division=0),
            "accuracy": peer.accuracy_score(y, predicted),
            "balanced_accuracy": peer.balanced_accuracy_score(y, predicted),
            "mcc": peer.matthews_corrcoef(y, predicted),
        }
    for name, value in expected.items():
        assert getattr(result, name) == pytest.approx(value, abs=1e-12), name


def test_control_random_scores_are_at_chance():
    rng = np.random.default_rng(0)
    result = multiclass_metrics(rng.integers(0, 5, 5000), rng.standard_normal((5000, 5)))
    assert result.accuracy == pytest.approx(0.2, abs=0.03)
    assert result.mcc == pytest.approx(0, abs=0.03)


@pytest.mark.parametrize(
    ("y", "scores", "message"),
    [
        ([0, 2], [[1.0, 0.0], [0.0, 1.0]], "from 0 to 1"),
        ([0.5, 1], [[1.0, 0.0], [0.0, 1.0]], "whole numbers"),
        ([0, 1], [[np.nan, 0.0], [0.0, 1.0]], "NaN"),
        ([0], [[1.0, 0.0], [0.0, 1.0]], r"must be \(n,\)"),
    ],
)
def test_errors(y, scores, message):
    with pytest.raises(ProbeError, match=message):
        multiclass_metrics(y, scores)
