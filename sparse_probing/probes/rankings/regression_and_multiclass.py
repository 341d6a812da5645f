"""Rankings for targets other than two classes: real values and several classes.

Each reads the layer once and scores every neuron. Larger is better; a constant neuron scores -inf.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from sparse_probing.probes.inputs.blocks import column_blocks
from sparse_probing.probes.inputs.scaling import centre_rows
from sparse_probing.probes.inputs.validation import Floats, LabelledRows, check_classes, check_targets
from sparse_probing.probes.rankings import constant_columns, rank_layer
from sparse_probing.probes.rankings.row_sums import ratio_or_zero

TargetRanking = Callable[[ArrayLike, ArrayLike], Floats]
"""``ranking(X (n, d), targets (n,)) -> scores (d,)``: larger is better."""


def absolute_correlation(X: ArrayLike, y: ArrayLike) -> Floats:
    """Return |Pearson correlation| (d,) of activations (n, d) with real targets (n,).

    Raises
    ------
    ProbeError
        If :func:`sparse_probing.probes.inputs.validation.check_targets` refuses ``X`` or ``y``.
    """
    activations, targets = check_targets(X, y)
    centred = targets - targets.mean()
    unit, scores = centred / np.linalg.norm(centred), np.empty(activations.shape[1])
    for columns, block in column_blocks(activations):
        centre_rows(block)
        scores[columns] = ratio_or_zero(np.abs(block @ unit), np.sqrt(np.einsum("ij,ij->i", block, block)))
    n, d = activations.shape
    scores[constant_columns(activations, np.arange(d), np.arange(n))] = -np.inf
    return np.minimum(scores, 1)


def regression_f_statistic(X: ArrayLike, y: ArrayLike) -> Floats:
    """Return the F statistic (d,) of the regression of real targets (n,) on each neuron.

    It has 1 and n - 2 degrees of freedom. Errors are those of :func:`absolute_correlation`.
    """
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
        If :func:`sparse_probing.probes.inputs.validation.check_classes` refuses ``X`` or ``y``.
    """
    activations, classes, codes = check_classes(X, y)
    counts, (n, d) = np.bincount(codes), activations.shape
    members = (codes[:, None] == np.arange(len(classes))).astype(np.float64)
    between, within = np.empty((2, d))
    for columns, block in column_blocks(activations):
        centre_rows(block)
        means = block @ members / counts
        between[columns] = means**2 @ counts
        block -= means[:, codes]
        within[columns] = np.einsum("ij,ij->i", block, block)
    degrees = max(n - len(classes), 1) / (len(classes) - 1)
    scores = ratio_or_zero(between, within) * degrees
    scores[constant_columns(activations, np.arange(d), np.arange(n))] = -np.inf
    return scores


def best_one_against_rest(X: ArrayLike, y: ArrayLike, ranking: str, rng: np.random.Generator) -> Floats:
    """Return, for every neuron (d,), the largest score of a two-class ranking over "this class or not".

    Parameters
    ----------
    X : (n, d) array of any real dtype
    y : (n,) array
        Classes, of any type that can be sorted.
    ranking : str
        A name in :data:`sparse_probing.probes.rankings.RANKINGS`.
    rng : numpy.random.Generator

    Raises
    ------
    ProbeError
        If :func:`sparse_probing.probes.inputs.validation.check_classes` refuses ``X`` or ``y``, or if there is
        no such ranking.
    """
    activations, classes, codes = check_classes(X, y)
    rows = np.arange(len(codes))
    features = [LabelledRows(rows, np.where(codes == code, 1.0, -1.0)) for code in range(len(classes))]
    return rank_layer(activations, features, ranking, rng.spawn(len(classes))).max(axis=0)


REGRESSION_RANKINGS: dict[str, TargetRanking] = {
    "correlation": absolute_correlation,
    "f_stat": regression_f_statistic,
}
"""Rankings for real targets."""
