"""The choice of C, or of a ridge alpha = 1 / C, by the scores of held-out rows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sparse_probing.probes.inputs.validation import Floats, Integers
from sparse_probing.probes.splits.grouped_split import Split

C_GRID = tuple(float(C) for C in np.logspace(-4, 2, 13))
"""Values of C for a layer that is divided by its root mean square."""
ALPHA_GRID = tuple(float(alpha) for alpha in np.logspace(-3, 7, 21))
"""Values of the ridge of a regression probe on the same scale; one factorisation serves all of them."""

TOO_FEW_GROUPS = "C = 1, because two folds of the training rows with every class in both do not exist."
"""What the status of a probe adds where C could not be chosen."""


EQUAL_AREAS = 1e-3
"""Difference up to which two validation ROC-AUC count as equal."""


def best_C(y: NDArray, scores: Floats, folds: Sequence[Split]) -> Integers:
    """Return which of m values of C to take for each of p probes: (p,).

    The largest ROC-AUC of held-out rows decides, averaged over the folds; of areas that are equal within
    ``EQUAL_AREAS`` the smallest class-balanced log loss, and of equal losses the first C. The ROC-AUC of a probe of
    one neuron is that of the neuron for every C, so that its log loss decides.

    Parameters
    ----------
    y : (n,) array of -1 and +1, or classes
        With classes, areas and losses are averaged over the classes.
    scores : (m, n, p) array, or (m, n, p, K) of K sorted classes
        Decision values of every row by the probes that were not fitted to it.
    folds : sequence of Split
        The folds with these rows on their test sides.

    Notes
    -----
    The log loss alone prefers too strong a ridge: on few rows a probe that ranks well is overconfident.
    """
    if scores.ndim == 3:
        areas, losses = _fold_areas(y, scores, folds), balanced_log_loss(y, scores)
    else:
        signed = [np.where(y == c, 1.0, -1.0) for c in np.unique(y)]
        areas = np.mean([_fold_areas(each, scores[..., i], folds) for i, each in enumerate(signed)], axis=0)
        losses = one_vs_rest_log_loss(y, scores)
    return np.where(areas >= areas.max(axis=0) - EQUAL_AREAS, losses, np.inf).argmin(axis=0)


def best_alpha(y: NDArray, predictions: Floats, _folds: Sequence[Split]) -> Integers:
    """Return the first of m ridges with the smallest squared error for each of p probes: (p,)."""
    return squared_error(y, predictions).argmin(axis=0)


def _fold_areas(y: NDArray, scores: Floats, folds: Sequence[Split]) -> Floats:
    """Return the mean over folds of the ROC-AUC (m, p), from the ranks of the positives."""
    from scipy.stats import rankdata  # here, because its import takes most of a second in every process

    areas = np.zeros((scores.shape[0], scores.shape[2]))
    for fold in folds:
        positive = y[fold.test] > 0
        n_positive, n = positive.sum(), len(positive)
        ranks = rankdata(scores[:, fold.test], axis=1)[:, positive].sum(axis=1)
        areas += (ranks - n_positive * (n_positive + 1) / 2) / (n_positive * (n - n_positive)) / len(folds)
    return areas


def balanced_log_loss(y: NDArray, scores: Floats) -> Floats:
    """Return the log loss of decision values (m, n, p), both classes with the same total weight: (m, p).

    Parameters
    ----------
    y : (n,) array of -1 and +1
    scores : (m, n, p) array
    """
    loss = np.logaddexp(0, -y[:, None] * scores)
    return (loss[:, y > 0].mean(axis=1) + loss[:, y < 0].mean(axis=1)) / 2


def one_vs_rest_log_loss(classes: NDArray, scores: Floats) -> Floats:
    """Return the balanced log loss (m, p), averaged over the classes, of decision values (m, n, p, K).

    Parameters
    ----------
    classes : (n,) array
        The class of every row; the scores follow the sorted classes.
    scores : (m, n, p, K) array
        Decision values of a probe of each class against the others.
    """
    losses = [
        balanced_log_loss(np.where(classes == c, 1.0, -1.0), scores[..., i]) for i, c in enumerate(np.unique(classes))
    ]
    return np.mean(losses, axis=0)


def squared_error(y: NDArray, predictions: Floats) -> Floats:
    """Return the mean squared error (m, p) of predictions (m, n, p) of targets (n,)."""
    return np.square(y[:, None] - predictions).mean(axis=1)
