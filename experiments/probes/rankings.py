"""Rankings: a score per neuron, learned on the training rows, by which sparse probes choose."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from experiments.probes.inputs import Floats, Integers, check_rows, column_blocks, row_blocks
from experiments.probes.metrics import area_under_roc
from probing_datasets.foundation.errors import ProbeError

Statistic = Callable[[NDArray, Floats, np.random.Generator], Floats]
Ranking = Callable[[ArrayLike, ArrayLike, np.random.Generator], Floats]
"""``rank(X (n, d), y (n,), rng) -> scores (d,)``: larger is better, constant columns get -inf."""


def top_neurons(scores: ArrayLike, k: int) -> Integers:
    """Return the indices of the ``k`` best scores, best first; of equal scores the lower index first."""
    scores = np.asarray(scores, dtype=np.float64)
    if np.isnan(scores).any():
        raise ProbeError("A ranking score is NaN. Check the activations behind it.")
    if not 1 <= k <= len(scores):
        d = len(scores)
        raise ProbeError(f"Cannot take the top {k} of {d} neurons. Choose k between 1 and {d}.")
    return np.argsort(-scores, kind="stable")[:k].astype(np.int64)


def _mean_difference(X: NDArray, y: Floats, _rng: np.random.Generator) -> Floats:
    """Absolute difference between the class means of the raw activations."""
    negative, positive = _class_means(X, y)
    return np.abs(positive - negative)


def _f_statistic(X: NDArray, y: Floats, _rng: np.random.Generator) -> Floats:
    """F of a one-way analysis of variance with two classes (the squared t statistic)."""
    means, is_positive = _class_means(X, y), (y > 0).astype(np.int64)
    within = np.zeros(X.shape[1])
    for rows, block in row_blocks(X):
        block -= means[is_positive[rows]]
        within += np.einsum("ij,ij->j", block, block)
    n, n_positive = len(y), is_positive.sum()
    between = n_positive * (n - n_positive) / n * (means[1] - means[0]) ** 2
    defined = (between > 0) | (within > 0)
    with np.errstate(divide="ignore"):
        return np.divide(between, within / max(n - 2, 1), out=np.zeros_like(within), where=defined)


def _area_under_roc(X: NDArray, y: Floats, _rng: np.random.Generator) -> Floats:
    """Distance of the area under the ROC curve from 1/2: blind to the sign and to monotone maps."""
    scores = np.empty(X.shape[1])
    for columns, block in column_blocks(X):
        positives, negatives = np.sort(block[:, y > 0]), np.sort(block[:, y < 0])
        areas = [area_under_roc(*pair) for pair in zip(positives, negatives, strict=True)]
        scores[columns] = np.abs(np.array(areas) - 0.5)
    return scores


def _random(X: NDArray, _y: Floats, rng: np.random.Generator) -> Floats:
    """Return a random order: what any informative ranking has to beat."""
    return rng.random(X.shape[1])


def _class_means(X: NDArray, y: Floats) -> Floats:
    """Return the class means (2, d), negatives first."""
    averaging = np.stack([y < 0, y > 0]).astype(np.float64)
    averaging /= averaging.sum(axis=1, keepdims=True)
    means = np.zeros((2, X.shape[1]))
    for rows, block in row_blocks(X):
        means += averaging[:, rows] @ block
    return means


def _constant_columns(X: NDArray) -> Integers:
    """Return the columns with one value, looking only at those whose first and last value agree."""
    candidates = np.flatnonzero(X[0] == X[-1])
    return candidates[(X[:, candidates] == X[0, candidates]).all(axis=0)]


def _checked(statistic: Statistic) -> Ranking:
    """Make a ranking of a statistic: check its arguments and put constant columns last."""

    def rank(X: ArrayLike, y: ArrayLike, rng: np.random.Generator) -> Floats:
        activations, labels = check_rows(X, y)
        scores = statistic(activations, labels, rng)
        scores[_constant_columns(activations)] = -np.inf
        return scores

    rank.__doc__ = statistic.__doc__
    return rank


RANKINGS: dict[str, Ranking] = {
    "mean_dif": _checked(_mean_difference),
    "f_stat": _checked(_f_statistic),
    "auc": _checked(_area_under_roc),
    "random": _checked(_random),
}
