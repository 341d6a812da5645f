"""Scores of held-out rows against the exact fits of every fold, and the choice of C by them."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import log_loss, mean_squared_error, roc_auc_score

from sparse_probing.probes.l2.choose_C import C_GRID, balanced_log_loss, best_C, one_vs_rest_log_loss, squared_error
from sparse_probing.probes.l2.held_out_scores import dense_held_out_scores, nested_held_out_scores
from sparse_probing.probes.l2.ridge import nested_ridge_held_out_predictions, ridge_held_out_predictions
from sparse_probing.probes.splits.grouped_folds import grouped_folds

CS = (1e-4, 1e-2, 1.0, 100.0)


def correlated(n: int, d: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, list]:
    """Return float32 activations with a mean, labels that a few directions encode, and four folds of pairs of rows."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, 8)) @ rng.standard_normal((8, d)) + 0.3 * rng.standard_normal((n, d)) + 2
    y = np.where(X[:, 0] - X[:, 1] + rng.standard_normal(n) > 0, 1.0, -1.0)
    return X.astype(np.float32), y, grouped_folds(y, np.arange(n) // 2, 4, 0)


def reference(X: np.ndarray, y: np.ndarray, C: float, fold) -> np.ndarray:
    model = LogisticRegression(C=C, class_weight="balanced", solver="newton-cholesky", tol=1e-12, max_iter=500)
    return model.fit(X[fold.train].astype(float), y[fold.train]).decision_function(X[fold.test].astype(float))


@pytest.mark.parametrize(("n", "d"), [(160, 20), (80, 120)], ids=["tall", "wide"])
def test_dense_scores_are_those_of_exact_fits(n, d):
    X, y, folds = correlated(n, d)
    scores = dense_held_out_scores(X, y, folds, CS)
    for i, C in enumerate(CS):
        for fold in folds:
            expected = reference(X, y, C, fold)
            np.testing.assert_allclose(scores[i, fold.test, 0], expected, atol=0.02 * np.abs(expected).max())


def test_nested_scores_are_those_of_exact_fits():
    X, y, folds = correlated(160, 20)
    scores = nested_held_out_scores(X, y, [1, 4, 20], folds, CS)
    for j, k in enumerate([1, 4, 20]):
        for fold in folds:
            expected = reference(X[:, :k], y, CS[2], fold)
            np.testing.assert_allclose(scores[2, fold.test, j], expected, atol=0.02 * np.abs(expected).max())


def test_equal_and_constant_columns_do_not_matter():
    X, y, folds = correlated(80, 120)
    X[:, 3], X[:, 4] = X[:, 5], 7
    assert np.isfinite(dense_held_out_scores(X, y, folds, C_GRID)).all()
    assert np.isfinite(nested_held_out_scores(X[:, 3:6], y, [1, 3], folds, C_GRID)).all()


def test_ridge_predictions_are_those_of_scikit_learn():
    X, _, folds = correlated(90, 12)
    y = X[:, 0] - 2.0 * X[:, 5] + np.random.default_rng(1).standard_normal(90)
    alphas = [0.1, 10.0, 1e4]
    dense, nested = (
        ridge_held_out_predictions(X, y, folds, alphas),
        nested_ridge_held_out_predictions(X, y, [3, 12], folds, alphas),
    )
    for i, alpha in enumerate(alphas):
        for fold in folds:
            for table, k in ((dense[..., 0], 12), (nested[..., 0], 3), (nested[..., 1], 12)):
                peer = Ridge(alpha=alpha).fit(X[fold.train, :k].astype(float), y[fold.train])
                np.testing.assert_allclose(table[i, fold.test], peer.predict(X[fold.test, :k]), atol=1e-4)


def test_losses_are_those_of_scikit_learn():
    rng = np.random.default_rng(0)
    y, scores = np.where(rng.random(50) < 0.2, 1.0, -1.0), rng.standard_normal((2, 50, 3))
    weight = np.where(y > 0, 1 / (y > 0).sum(), 1 / (y < 0).sum())
    expected = [[log_loss(y, 1 / (1 + np.exp(-s)), sample_weight=weight) for s in each.T] for each in scores]
    np.testing.assert_allclose(balanced_log_loss(y, scores), expected)
    expected = [[mean_squared_error(y, s) for s in each.T] for each in scores]
    np.testing.assert_allclose(squared_error(y, scores), expected)
    classes = rng.integers(0, 3, 50)
    of_classes = rng.standard_normal((2, 50, 4, 3))
    signed = [np.where(classes == c, 1.0, -1.0) for c in range(3)]
    expected = np.mean([balanced_log_loss(signed[c], of_classes[..., c]) for c in range(3)], axis=0)
    np.testing.assert_allclose(one_vs_rest_log_loss(classes, of_classes), expected)


def test_the_largest_area_decides_and_of_equal_ones_the_log_loss():
    X, y, folds = correlated(160, 20)
    scores = dense_held_out_scores(X, y, folds, C_GRID)
    (best,) = best_C(y, scores, folds)
    areas = [np.mean([roc_auc_score(y[f.test], s[f.test, 0]) for f in folds]) for s in scores]
    equal = np.flatnonzero(np.array(areas) >= max(areas) - 1e-3)
    assert best == equal[balanced_log_loss(y, scores)[equal, 0].argmin()]
    # The area of one neuron is the same for every C.
    one = nested_held_out_scores(X, y, [1], folds, C_GRID)
    assert best_C(y, one, folds)[0] == balanced_log_loss(y, one)[:, 0].argmin()
    of_classes = np.stack([-scores, scores], axis=-1)
    assert best_C((y > 0).astype(float), of_classes, folds)[0] == best
