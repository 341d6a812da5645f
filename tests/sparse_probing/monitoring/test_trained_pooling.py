"""Trained poolings: attention starts as the mean, a planted token is found where the mean misses it, noise is not."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from probing_datasets.foundation.errors import ProbeError, SplitError
from sparse_probing.monitoring.trained_pooling import fit_pooling

WIDTH = 12


def planted(n_texts: int, seed: int, strength: float = 6.0):
    """Texts of 5 to 60 noisy tokens; in one token of a positive text, direction 0 is large (and in none of others)."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(5, 61, n_texts)
    sequence = np.repeat(np.arange(n_texts), lengths)
    X = rng.normal(size=(len(sequence), WIDTH))
    y = np.where(rng.random(n_texts) < 0.4, 1, -1)
    starts = np.cumsum(lengths) - lengths
    hit = starts + rng.integers(0, lengths)
    X[hit[y > 0], 0] += strength
    return X, sequence, y, np.arange(n_texts) // 2


@pytest.fixture(scope="module")
def training():
    return planted(300, seed=0)


def mean_auc(X, sequence, y) -> float:
    """Return the area of the best possible direction on mean activations."""
    means = np.array([X[sequence == i, 0].mean() for i in range(len(y))])
    return float(roc_auc_score(y, means))


@pytest.mark.parametrize("kind", ["attention", "multimax"])
@pytest.mark.parametrize("n_heads", [1, 8])
def test_a_planted_token_is_found_on_new_texts(training, kind, n_heads):
    fitted = fit_pooling(*training, kind=kind, n_heads=n_heads, max_epochs=60)
    X, sequence, y, _ = planted(300, seed=1)
    area = roc_auc_score(y, fitted.scores_of(X, sequence))
    assert area > mean_auc(X, sequence, y) + 0.03
    assert area > 0.93
    assert fitted.best_epoch > 0


@pytest.mark.parametrize("kind", ["attention", "multimax"])
def test_shuffled_labels_are_not_learned(training, kind):
    X, sequence, y, groups = training
    shuffled = np.random.default_rng(0).permutation(y)
    fitted = fit_pooling(X, sequence, shuffled, groups, kind=kind, n_heads=2, max_epochs=20, patience=4)
    new_X, new_sequence, new_y, _ = planted(300, seed=2)
    assert abs(roc_auc_score(new_y, fitted.scores_of(new_X, new_sequence)) - 0.5) < 0.25
    assert fitted.validation_loss > 0.67  # no better than a coin, whose loss is .693


def test_attention_with_zero_queries_is_a_probe_of_the_mean(training):
    X, sequence, y, groups = training
    fitted = fit_pooling(X, sequence, y, groups, n_heads=8, max_epochs=2)
    zero = replace(fitted, queries=np.zeros_like(fitted.queries))
    means = np.stack([((X - fitted.mean) / fitted.scale)[sequence == i].mean(0) for i in range(len(y))])
    expected = means @ fitted.values.sum(0) + fitted.intercept
    np.testing.assert_allclose(zero.scores_of(X, sequence), expected, atol=1e-10)


@pytest.mark.parametrize("kind", ["attention", "multimax"])
def test_scores_equal_their_definition(training, kind):
    X, sequence, y, groups = training
    fitted = fit_pooling(X, sequence, y, groups, kind=kind, n_heads=3, max_epochs=5)
    scores = fitted.scores_of(X, sequence)
    for text in (0, 7, 299):
        Z = (X[sequence == text] - fitted.mean) / fitted.scale
        expected = fitted.intercept
        for q, v in zip(fitted.queries, fitted.values, strict=True):
            if kind == "multimax":
                expected += max(z @ v for z in Z)
            else:
                weights = np.exp([z @ q for z in Z])
                expected += sum(w * (z @ v) for w, z in zip(weights, Z, strict=True)) / weights.sum()
        assert scores[text] == pytest.approx(expected, abs=1e-10)


def test_the_same_seed_gives_the_same_coefficients_and_the_generator_of_torch_is_not_used(training):
    state = torch.get_rng_state()
    first, second = (fit_pooling(*training, n_heads=2, max_epochs=3, seed=4) for _ in range(2))
    np.testing.assert_array_equal(first.values, second.values)
    assert not np.array_equal(first.values, fit_pooling(*training, n_heads=2, max_epochs=3, seed=5).values)
    assert torch.equal(state, torch.get_rng_state())


def test_the_order_of_tokens_in_memory_does_not_count(training):
    X, sequence, y, groups = training
    fitted = fit_pooling(X, sequence, y, groups, max_epochs=2)
    order = np.random.default_rng(0).permutation(len(X))
    np.testing.assert_allclose(fitted.scores_of(X[order], sequence[order]), fitted.scores_of(X, sequence), atol=1e-10)


def test_bad_input(training):
    X, sequence, y, groups = training
    with pytest.raises(ProbeError, match="300 texts need one label and one group each: 299 and 300"):
        fit_pooling(X, sequence, y[1:], groups)
    with pytest.raises(ProbeError, match="need the number of their text"):
        fit_pooling(X, sequence[1:], y, groups)
    with pytest.raises(ProbeError, match="at least one head"):
        fit_pooling(X, sequence, y, groups, n_heads=0)
    with pytest.raises(ProbeError, match="is nan"):
        fit_pooling(np.where(X > 3, np.nan, X), sequence, y, groups)
    with pytest.raises(SplitError, match="at least 2 groups"):
        fit_pooling(X, sequence, y, np.zeros(300, int))
