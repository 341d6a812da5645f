"""Rankings for targets other than two classes: real values and several classes.

Each reads the layer once and scores every neuron; larger is better and a constant neuron gets -inf.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sparse_probing.probes.rankings import rank_layer
from sparse_probing.probes.validation import Floats, Integers, LabelledRows, check_classes, check_targets, column_blocks

TargetRanking = Callable[[ArrayLike, ArrayLike], Floats]


def absolute_correlation(X: ArrayLike, y: ArrayLike) -> Floats:
    """Return |Pearson correlation| (d,) of activations (n, d) with real targets (n,)."""
    activations, targets = check_targets(X, y)
    centred = targets - targets.mean()
    unit, scores = centred / np.linalg.norm(centred), np.empty(activations.shape[1])
    for columns, block in column_blocks(activations):
        block -= block.mean(axis=1)[:, None]
        scores[columns] = _ratio(np.abs(block @ unit), np.sqrt(np.einsum("ij,ij->i", block, block)))
    scores[_constant(activations)] = -np.inf
    return np.minimum(scores, 1)


def regression_f_statistic(X: ArrayLike, y: ArrayLike) -> Floats:
    """Return the F statistic (d,) of the regression of real targets (n,) on each neuron; with 1, n - 2 degrees."""
    correlation = absolute_correlation(X, y)
    constant = np.isinf(correlation)
    explained = np.where(constant, 0, correlation) ** 2
    with np.errstate(divide="ignore"):
        return np.where(constant, -np.inf, explained / (1 - explained) * max(np.size(y) - 2, 1))


def anova_f_statistic(X: ArrayLike, y: ArrayLike) -> Floats:
    """Return F (d,) of a one-way analysis of variance of activations (n, d) by class (n,).

    Raises
    ------
    ProbeError
        If ``X`` or ``y`` is refused by :func:`sparse_probing.probes.validation.check_classes`.
    """
    activations, classes, codes = check_classes(X, y)
    counts, n = np.bincount(codes), len(codes)
    members = (codes[:, None] == np.arange(len(classes))).astype(np.float64)
    between, within = np.empty((2, activations.shape[1]))
    for columns, block in column_blocks(activations):
        block -= block.mean(axis=1)[:, None]
        means = block @ members / counts
        between[columns] = means**2 @ counts
        block -= means[:, codes]
        within[columns] = np.einsum("ij,ij->i", block, block)
    degrees = max(n - len(classes), 1) / (len(classes) - 1)
    scores = _ratio(between, within) * degrees
    scores[_constant(activations)] = -np.inf
    return scores


def best_one_against_rest(X: ArrayLike, y: ArrayLike, ranking: str, rng: np.random.Generator) -> Floats:
    """Return, for every neuron (d,), the largest score of a two-class ranking over "this class or not".

    Parameters
    ----------
    X : (n, d) array of any real dtype
    y : (n,) array
        Classes, of any kind that sorts.
    ranking : str
        A name in :data:`sparse_probing.probes.rankings.RANKINGS`.
    rng : numpy.random.Generator

    Raises
    ------
    ProbeError
        If ``X`` or ``y`` is refused by :func:`sparse_probing.probes.validation.check_classes`, or if there is
        no such ranking.
    """
    activations, classes, codes = check_classes(X, y)
    rows = np.arange(len(codes))
    problems = [LabelledRows(rows, np.where(codes == code, 1.0, -1.0)) for code in range(len(classes))]
    return rank_layer(activations, problems, ranking, rng.spawn(len(classes))).max(axis=0)


REGRESSION_RANKINGS: dict[str, TargetRanking] = {
    "correlation": absolute_correlation,
    "f_stat": regression_f_statistic,
}
"""Rankings for real targets."""


def _constant(X: NDArray) -> Integers:
    """Return the columns with one value, looking only at those whose first and last value agree."""
    candidates = np.flatnonzero(X[0] == X[-1])
    return candidates[(X[:, candidates] == X[0, candidates]).all(axis=0)]


def _ratio(numerator: Floats, denominator: Floats) -> Floats:
    """Return numerator / denominator: 0 where both are zero, infinite where the denominator alone is."""
    with np.errstate(divide="ignore"):
        return np.divide(
            numerator, denominator, out=np.zeros_like(numerator), where=(numerator > 0) | (denominator > 0)
        )
