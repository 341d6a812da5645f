"""Rankings: a score per neuron, learned on the training rows, by which sparse probes choose.

All features of a layer are ranked together, so that what they share (reading the layer, sorting
a neuron) is done once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from probing_datasets.foundation.errors import ProbeError
from sparse_probing.probes.rankings.chance import random_order
from sparse_probing.probes.rankings.class_means import f_statistic, mean_difference, standardised_mean_difference
from sparse_probing.probes.rankings.linear_models import l1_logistic, linear_svm
from sparse_probing.probes.rankings.order_statistics import area_under_roc, mutual_information
from sparse_probing.probes.validation import (
    Floats,
    Integers,
    LabelledRows,
    check_activations,
    check_problem,
    check_rows,
)

LayerRanking = Callable[[NDArray, Sequence[LabelledRows], Sequence[np.random.Generator]], Floats]
"""``ranking(X (N, d), problems, rngs) -> scores (n_problems, d)``: larger is better."""

RANKINGS: dict[str, LayerRanking] = {
    "mean_dif": mean_difference,
    "mean_dif_standardised": standardised_mean_difference,
    "f_stat": f_statistic,
    "mi": mutual_information,
    "auc": area_under_roc,
    "lr": l1_logistic,
    "svm": linear_svm,
    "random": random_order,
}
"""Rankings by the value of ``--heuristic_feature_selection_method``."""


def rank_layer(
    X: ArrayLike, problems: Sequence[LabelledRows], ranking: str, rngs: Sequence[np.random.Generator]
) -> Floats:
    """Score all neurons of a layer for many problems.

    Parameters
    ----------
    X : (N, d) array of float16, float32 or float64
        Activations of a layer, in any memory order; columns in one piece ("F") are fastest.
    problems : sequence of LabelledRows
        Features, or controls, with the rows they are ranked on.
    ranking : str
        A name in ``RANKINGS``.
    rngs : sequence of numpy.random.Generator
        One per problem.

    Returns
    -------
    (n_problems, d) float64
        Larger is better. A neuron that is constant on the rows of a problem scores ``-inf``.

    Raises
    ------
    ProbeError
        If the ranking is unknown, ``X`` is empty or not finite, a problem's rows or labels do not
        fit the layer or lack a class, or there is no problem, or not one generator for each.
    """
    if ranking not in RANKINGS:
        raise ProbeError(f"There is no ranking {ranking!r}. Choose from {', '.join(RANKINGS)}.")
    if not problems or len(rngs) != len(problems):
        raise ProbeError(f"{len(problems)} problems and {len(rngs)} generators. Pass one generator for each problem.")
    activations = check_activations(X)
    checked = [check_problem(problem, len(activations)) for problem in problems]
    scores = RANKINGS[ranking](activations, checked, rngs)
    for own, columns in zip(scores, _constant_columns(activations, checked), strict=True):
        own[columns] = -np.inf
    return scores


def rank_neurons(X: ArrayLike, y: ArrayLike, ranking: str, rng: np.random.Generator) -> Floats:
    """Score all neurons for one feature on all rows; arguments and errors as in :func:`rank_layer`."""
    activations, labels = check_rows(X, y)
    (scores,) = rank_layer(activations, [LabelledRows(np.arange(len(labels)), labels)], ranking, [rng])
    return scores


def top_neurons(scores: ArrayLike, k: int) -> Integers:
    """Return the indices of the ``k`` best scores, best first; of equal scores the lower index first."""
    scores = np.asarray(scores, dtype=np.float64)
    if np.isnan(scores).any():
        raise ProbeError("A ranking score is NaN. Check the activations behind it.")
    if not 1 <= k <= len(scores):
        d = len(scores)
        raise ProbeError(f"Cannot take the top {k} of {d} neurons. Choose k between 1 and {d}.")
    return np.argsort(-scores, kind="stable")[:k].astype(np.int64)


def _constant_columns(X: NDArray, problems: Sequence[LabelledRows]) -> list[Integers]:
    """Return, for every problem, the columns with one value on its rows."""
    dead = _constant_among(X, np.arange(X.shape[1]), np.arange(len(X)))
    alive = np.setdiff1d(np.arange(X.shape[1]), dead)
    by_rows = {p.row.tobytes(): p.row for p in problems}
    constant = {key: np.union1d(dead, _constant_among(X, alive, row)) for key, row in by_rows.items()}
    return [constant[p.row.tobytes()] for p in problems]


def _constant_among(X: NDArray, columns: Integers, row: Integers) -> Integers:
    """Return those of ``columns`` with one value on ``row``: most are sifted out by a few rows."""
    for stop in (16, 512, len(row)):
        values = X[np.ix_(row[:stop], columns)]
        columns = columns[(values == values[:1]).all(axis=0)]
    return columns
