"""Scores of held-out rows for a grid of C: what C is chosen by.

A fold is prepared once for all C: its rows get coordinates of at most as many dimensions as it has rows, and
one Hessian at zero, ``C G + I`` in these coordinates, preconditions every C. From the smallest C to the
largest, each fit starts at the one before and stops early: a choice between values of C that are a factor of
three apart needs no more digits than that.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cholesky, solve_triangular

from sparse_probing.probes.inputs.scaling import centred_columns
from sparse_probing.probes.inputs.validation import ClassWeight, Floats, row_weights
from sparse_probing.probes.l2.newton import factor_of, minimise_nested
from sparse_probing.probes.splits.grouped_split import Split

TOLERANCE = 1e-5
"""Newton decrement at which the fits of a fold stop."""
MAX_ITER = 200
"""Steps of a fit of a fold."""
LOADING = 1e-10
"""Share of the mean eigenvalue that is added to a matrix of inner products, which centring makes singular."""


def dense_held_out_scores(
    X: NDArray, y: Floats, folds: Sequence[Split], Cs: Sequence[float], class_weight: ClassWeight = "balanced"
) -> Floats:
    """Return the decision values of held-out rows by probes of all columns.

    Parameters
    ----------
    X : (n, d) array
    y : (n,) array of -1 and +1
    folds : sequence of Split
        Every row is on the test side of one fold.
    Cs : sequence of float
        In increasing order.
    class_weight : {"balanced", "none"}

    Returns
    -------
    (n_Cs, n, 1) array

    Notes
    -----
    With fewer rows than columns the inner products of all rows are computed once, and a fold takes
    its coordinates from the Cholesky factor of its part of them.
    """
    n, d = X.shape
    if n > d:
        return nested_held_out_scores(X, y, [d], folds, Cs, class_weight)
    _, columns = centred_columns(X)
    products = columns.T @ columns
    scores = np.empty((len(Cs), n, 1))
    for fold in folds:
        # Centre on the training rows: the mean of their inner products with every row.
        inner = products[np.ix_(fold.train, fold.train)]
        across = products[np.ix_(fold.test, fold.train)]
        means = inner.mean(axis=0)
        across = across - across.mean(axis=1, keepdims=True) - means + means.mean()
        inner = inner - means - means[:, None] + means.mean()
        np.einsum("ii->i", inner)[:] += LOADING * np.trace(inner) / len(inner) + np.finfo(float).tiny
        triangle = cholesky(inner, lower=True, overwrite_a=True, check_finite=False)
        held_out = solve_triangular(triangle, across.T, lower=True, check_finite=False)
        scores[:, fold.test] = _scores_of_fold(triangle.T, y[fold.train], held_out, [len(inner)], Cs, class_weight)
    return scores


def nested_held_out_scores(
    X_ranked: NDArray,
    y: Floats,
    ks: Sequence[int],
    folds: Sequence[Split],
    Cs: Sequence[float],
    class_weight: ClassWeight = "balanced",
) -> Floats:
    """Return the decision values of held-out rows by probes of the first k columns, for every k and C.

    Parameters
    ----------
    X_ranked : (n, p) array
        Columns in rank order, best first.
    y : (n,) array of -1 and +1
    ks : sequence of int
        In increasing order.
    folds, Cs, class_weight
        As in :func:`dense_held_out_scores`.

    Returns
    -------
    (n_Cs, n, n_ks) array
    """
    scores = np.empty((len(Cs), len(y), len(ks)))
    for fold in folds:
        means, columns = centred_columns(X_ranked[fold.train, : ks[-1]])
        held_out = X_ranked[fold.test, : ks[-1]].T - means[:, None]
        scores[:, fold.test] = _scores_of_fold(columns, y[fold.train], held_out, ks, Cs, class_weight)
    return scores


def _scores_of_fold(
    columns: Floats, y: Floats, held_out: Floats, ks: Sequence[int], Cs: Sequence[float], class_weight: ClassWeight
) -> Floats:
    """Return the scores (n_Cs, m, n_ks) of the columns ``held_out`` (p, m) by probes of ``columns`` (p, n)."""
    design = np.vstack([y, columns * y])
    weights = row_weights(y, 1.0, class_weight)
    scaled = design * np.sqrt(weights / 4)
    hessian = scaled @ scaled.T
    theta, scores = np.zeros(len(design)), np.empty((len(Cs), held_out.shape[1], len(ks)))
    for i, C in enumerate(Cs):
        fits = minimise_nested(
            design, C * weights, [k + 1 for k in ks], TOLERANCE, MAX_ITER, theta, factor_of(C * hessian)
        )
        theta = fits[ks[-1] + 1].end.theta
        for j, k in enumerate(ks):
            coef = fits[k + 1].end.theta
            scores[i, :, j] = coef[0] + coef[1:] @ held_out[:k]
    return scores
