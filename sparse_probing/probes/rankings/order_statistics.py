"""Rankings by the order of a neuron's values, for all features of a layer from one sort of every neuron.

Scores do not depend on the sign of a neuron, and on monotone maps only between neurons of the same area. Rows are
visited in the order of the neuron's values, and every feature counts the rows that belong to it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numba import njit
from numpy.typing import NDArray

from sparse_probing.probes.inputs.blocks import BLOCK_ELEMENTS
from sparse_probing.probes.inputs.validation import Floats, Integers, LabelledRows
from sparse_probing.probes.rankings.class_means import standardised_mean_difference

TIE_BREAK = 1e-10

N_BINS = 16
"""Bins of the mutual information."""

Kernel = Callable[[NDArray, Integers, NDArray[np.int8]], Floats]
"""From ``values`` (b, N), their ``order`` (b, N) and ``labels`` (N, n_features) to scores (b, n_features)."""


def area_under_roc(X: NDArray, features: Sequence[LabelledRows], _rngs: Sequence[np.random.Generator]) -> Floats:
    """Return the distance of the area under the ROC curve from 1/2; tied values count half.

    Dozens of neurons can separate the classes of a few hundred rows without an error. Those with the same area are
    ordered by the difference of their class means in standard deviations: it adds less than ``TIE_BREAK``, and areas
    that differ do so by at least 1 / (2 pairs of a positive and a negative row).
    """
    distance = np.abs(_over_sorted(_areas, X, features) - 0.5)
    difference = standardised_mean_difference(X, features, _rngs)
    return distance + TIE_BREAK * difference / (1 + difference)


def mutual_information(X: NDArray, features: Sequence[LabelledRows], _rngs: Sequence[np.random.Generator]) -> Floats:
    """Return the mutual information, in nats, between the label and the neuron in bins of equal counts.

    Notes
    -----
    The plug-in estimate over at most 16 bins with n / 16 rows each; tied values share a bin, and a
    remainder goes to the last. Its bias, at most 15 / (2 n) nats, is almost the same for all
    neurons. Nearest-neighbour estimates (Ross 2014, scikit-learn's ``mutual_info_classif``) need
    distinct values, which float16 does not give: they break ties by noise, and cost a
    neighbour search for every feature.

    References
    ----------
    Cover and Thomas, Elements of Information Theory (2006), section 2.3; Paninski, Estimation
    of Entropy and Mutual Information, Neural Computation (2003), for the bias.
    """
    return _over_sorted(_informations, X, features)


def _over_sorted(kernel: Kernel, X: NDArray, features: Sequence[LabelledRows]) -> Floats:
    """Apply a kernel to the sorted values of every neuron; return scores (n_features, d)."""
    labels = np.zeros((len(X), len(features)), dtype=np.int8)
    for column, feature in enumerate(features):
        labels[feature.row, column] = feature.label
    scores = np.empty((len(features), X.shape[1]))
    width = max(4, BLOCK_ELEMENTS // len(X))
    for start in range(0, X.shape[1], width):
        columns = slice(start, min(start + width, X.shape[1]))
        values = np.ascontiguousarray(X[:, columns].T)
        if values.dtype == np.float16:
            # Integers of the same order, which sort by their digits in a tenth of the time. Both zeros become one.
            bits = values.view(np.int16)
            values = np.where(bits < 0, (bits ^ 0x7FFF) + np.int16(1), bits)
        scores[:, columns] = kernel(values, np.argsort(values, axis=1, kind="stable"), labels).T
    return scores


@njit(cache=True)
def _areas(values: NDArray, order: Integers, labels: NDArray[np.int8]) -> Floats:
    """Return the areas: pairs with the positive above the negative, over all pairs."""
    n_features = labels.shape[1]
    areas = np.empty((len(values), n_features))
    for j in range(len(values)):
        positives = np.zeros(n_features, np.int32)
        negatives = np.zeros(n_features, np.int32)
        positives_below = np.zeros(n_features, np.int32)
        negatives_below = np.zeros(n_features, np.int32)
        twice = np.zeros(n_features)
        for i in range(order.shape[1]):
            row = order[j, i]
            for p in range(n_features):
                positives[p] += np.int32(labels[row, p] > 0)
                negatives[p] += np.int32(labels[row, p] < 0)
            if i + 1 == order.shape[1] or values[j, order[j, i + 1]] != values[j, row]:
                for p in range(n_features):
                    pairs = 2.0 * negatives_below[p] + negatives[p]
                    twice[p] += positives[p] * pairs
                    positives_below[p] += positives[p]
                    negatives_below[p] += negatives[p]
                    positives[p] = 0
                    negatives[p] = 0
        for p in range(n_features):
            areas[j, p] = twice[p] / (2.0 * positives_below[p] * negatives_below[p])
    return areas


@njit(cache=True)
def _informations(values: NDArray, order: Integers, labels: NDArray[np.int8]) -> Floats:
    """Return the mutual information of every feature; a bin ends with the value that fills it."""
    n_features = labels.shape[1]
    n_rows = np.zeros(n_features)
    n_positive = np.zeros(n_features)
    for i in range(len(labels)):
        for p in range(n_features):
            n_rows[p] += labels[i, p] != 0
            n_positive[p] += labels[i, p] > 0
    informations = np.zeros((len(values), n_features))
    for j in range(len(values)):
        rows = np.zeros(n_features, np.int32)
        positives = np.zeros(n_features, np.int32)
        for i in range(order.shape[1]):
            row = order[j, i]
            for p in range(n_features):
                rows[p] += np.int32(labels[row, p] != 0)
                positives[p] += np.int32(labels[row, p] > 0)
            last = i + 1 == order.shape[1]
            if last or values[j, order[j, i + 1]] != values[j, row]:
                for p in range(n_features):
                    if rows[p] * N_BINS >= n_rows[p] or (last and rows[p] > 0):
                        informations[j, p] += _bin_information(positives[p], rows[p], n_positive[p], n_rows[p])
                        rows[p] = 0
                        positives[p] = 0
    return informations


@njit(cache=True)
def _bin_information(positives: int, rows: int, n_positive: float, n_rows: float) -> float:
    """Return one bin's share of the mutual information."""
    information = 0.0
    if positives > 0:
        information += positives / n_rows * np.log(positives * n_rows / (rows * n_positive))
    if positives < rows:
        negatives = rows - positives
        information += negatives / n_rows * np.log(negatives * n_rows / (rows * (n_rows - n_positive)))
    return information
