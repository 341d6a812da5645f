"""Rankings: a score per neuron, learned on the training rows, by which sparse probes select neurons.

All features of a layer are ranked together, so that their common work (reading the layer, sorting
a neuron) is done once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from probing_datasets.foundation.errors import ProbeError
from sparse_probing.probes.inputs.validation import (
    Floats,
    Integers,
    LabelledRows,
    check_activations,
    check_labelled_rows,
    check_rows,
)
from sparse_probing.probes.rankings.class_means import f_statistic, mean_difference, standardised_mean_difference
from sparse_probing.probes.rankings.linear_models import l1_logistic, linear_svm
from sparse_probing.probes.rankings.order_statistics import area_under_roc, mutual_information
from sparse_probing.probes.rankings.random_order import random_order

LayerRanking = Callable[[NDArray, Sequence[LabelledRows], Sequence[np.random.Generator]], Floats]
"""``ranking(X (N, d), features, rngs) -> scores (n_features, d)``: larger is better."""

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
    X: ArrayLike, features: Sequence[LabelledRows], ranking: str, rngs: Sequence[np.random.Generator]
) -> Floats:
    """Score all neurons of a layer for many features.

    Parameters
    ----------
    X : (N, d) array of float16, float32 or float64
        Activations of a layer, in any memory order; contiguous columns ("F") are fastest.
    features : sequence of LabelledRows
        Features, or controls of them, with the rows that they are ranked on.
    ranking : str
        A name in ``RANKINGS``.
    rngs : sequence of numpy.random.Generator
        One per feature.

    Returns
    -------
    (n_features, d) float64
        Larger is better. A neuron that is constant on the rows of a feature scores ``-inf``.

    Raises
    ------
    ProbeError
        If the ranking is unknown, if ``X`` is empty or not finite, if the rows or labels of a
        feature do not fit the layer or have only one class, if there is no feature, or if there
        is not one generator for each.
    """
    if ranking not in RANKINGS:
        raise ProbeError(f"There is no ranking {ranking!r}. Choose from {', '.join(RANKINGS)}.")
    if not features or len(rngs) != len(features):
        raise ProbeError(
            f"There are {len(features)} features and {len(rngs)} generators. Pass one or more features and one "
            "generator for each."
        )
    activations = check_activations(X)
    checked = [check_labelled_rows(feature, len(activations)) for feature in features]
    scores = RANKINGS[ranking](activations, checked, rngs)
    # Neurons that are constant in the whole layer are looked for once, the others once per set of rows.
    n, d = activations.shape
    always_constant = constant_columns(activations, np.arange(d), np.arange(n))
    candidates = np.setdiff1d(np.arange(d), always_constant)
    constant_by_rows: dict[bytes, Integers] = {}
    for feature, scores_of_feature in zip(checked, scores, strict=True):
        key = feature.row.tobytes()
        if key not in constant_by_rows:
            constant_by_rows[key] = constant_columns(activations, candidates, feature.row)
        scores_of_feature[always_constant] = -np.inf
        scores_of_feature[constant_by_rows[key]] = -np.inf
    return scores


def rank_neurons(X: ArrayLike, y: ArrayLike, ranking: str, rng: np.random.Generator) -> Floats:
    """Score all neurons (d,) for one feature on all rows; arguments and errors as in :func:`rank_layer`."""
    activations, labels = check_rows(X, y)
    (scores,) = rank_layer(activations, [LabelledRows(np.arange(len(labels)), labels)], ranking, [rng])
    return scores


def constant_columns(X: NDArray, columns: Integers, row: Integers) -> Integers:
    """Return those of ``columns`` that have one value on the rows ``row``; a few rows exclude most columns."""
    for stop in (16, 512, len(row)):
        values = X[np.ix_(row[:stop], columns)]
        columns = columns[(values == values[:1]).all(axis=0)]
    return columns
