"""A permutation test for the best of thousands of neurons.

To correct existing p-values by the method of Benjamini and Hochberg, use
``scipy.stats.false_discovery_control``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from probing_datasets.foundation.errors import ProbeError
from sparse_probing.probes.inputs.blocks import column_blocks
from sparse_probing.probes.inputs.validation import Floats, check_activations, check_labels
from sparse_probing.probes.shuffled_labels import shuffled_labels


@dataclass(frozen=True)
class MaxStatisticTest:
    """The statistics of d neurons and their p-values under permuted labels."""

    statistic: Floats
    """(d,) on the original labels."""
    p_values: Floats
    """(d,) adjusted: the probability of one or more false discoveries at a level is at most this level."""
    null_maxima: Floats
    """(n_permutations,) the largest statistic of all neurons on permuted labels."""

    @property
    def p_value(self) -> float:
        """The p-value of the best neuron."""
        return float(self.p_values.min())


def max_statistic_test(
    statistic: Callable[[NDArray], ArrayLike],
    labels: ArrayLike,
    sequences: ArrayLike,
    n_permutations: int,
    rng: np.random.Generator,
) -> MaxStatisticTest:
    """Test every neuron against the largest statistic of all neurons on permuted labels.

    Parameters
    ----------
    statistic : callable
        From labels (n,) to a number per neuron (d,), larger for a stronger neuron, such as the
        result of :func:`distance_from_chance`.
    labels : (n,) array
    sequences : (n,) array of int
        Units whose labels are exchanged, as in
        :func:`sparse_probing.probes.shuffled_labels.shuffled_labels`: whole sequences where each has one
        label, otherwise rows. Pass the group of every row where sequences of a group depend on each
        other.
    n_permutations : int
        At least 1; the smallest possible p-value is 1 / (n_permutations + 1).
    rng : numpy.random.Generator

    Raises
    ------
    ProbeError
        If ``n_permutations`` is below 1, or the statistic does not return one number per neuron.

    References
    ----------
    Westfall and Young, Resampling-Based Multiple Testing (1993), step-down maxT, as in Ge,
    Dudoit and Speed, Test 12 (2003), box 2.
    """
    if n_permutations < 1:
        raise ProbeError(f"Cannot test with {n_permutations} permutations. Try 999.")
    observed = _evaluate(statistic, np.asarray(labels))
    # Step down: a neuron is compared with the maximum over itself and all weaker neurons.
    worst_first = np.argsort(observed, kind="stable")
    exceeded, maxima = np.zeros(len(observed)), np.empty(n_permutations)
    for i in range(n_permutations):
        null = _evaluate(statistic, shuffled_labels(labels, sequences, rng))
        running_maximum = np.maximum.accumulate(null[worst_first])
        exceeded += running_maximum >= observed[worst_first]
        maxima[i] = running_maximum[-1]
    # A p-value is never below that of a stronger neuron.
    p_values = np.empty(len(observed))
    p_values[worst_first] = np.maximum.accumulate((1 + exceeded[::-1]) / (1 + n_permutations))[::-1]
    return MaxStatisticTest(observed, p_values, maxima)


def distance_from_chance(X: ArrayLike) -> Callable[[NDArray], Floats]:
    """Return the function from labels -1/+1 (n,) to |ROC-AUC - 1/2| (d,) of every column of ``X`` (n, d).

    Columns are ranked once. Every call of the function then costs one product with the (n, d)
    ranks, which take float64 in memory.

    Raises
    ------
    ProbeError
        If ``X`` is not a finite, non-empty matrix; from the function, if labels are not -1/+1.
    """
    from scipy.stats import rankdata  # here, because its import takes most of a second in every process

    activations = check_activations(X)
    centred = np.empty((activations.shape[1], len(activations)))
    for columns, block in column_blocks(activations):
        centred[columns] = rankdata(block, axis=1) - (block.shape[1] + 1) / 2

    def statistic(labels: NDArray) -> Floats:
        positive = check_labels(labels) > 0
        n_positive = np.count_nonzero(positive)
        # The sum of centred ranks over the positives is the distance of the area from 1/2, times the pairs.
        return np.abs(centred @ positive) / (n_positive * (len(positive) - n_positive))

    return statistic


def _evaluate(statistic: Callable[[NDArray], ArrayLike], labels: NDArray) -> Floats:
    values = np.asarray(statistic(labels), dtype=np.float64)
    if values.ndim != 1 or np.isnan(values).any():
        raise ProbeError(f"The statistic has shape {values.shape} or is NaN. It must be one number per neuron.")
    return values
