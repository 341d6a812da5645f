"""A permutation test for the best of thousands of neurons.

For p-values that are there already, ``scipy.stats.false_discovery_control`` is the correction
of Benjamini and Hochberg.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from probing_datasets.foundation.errors import ProbeError
from sparse_probing.probes.controls import shuffled_labels
from sparse_probing.probes.validation import Floats, check_activations, check_labels, column_blocks


@dataclass(frozen=True)
class MaxStatisticTest:
    """What d neurons reach, and how often labels that mean nothing reach as much."""

    statistic: Floats
    """(d,) on the labels as they are."""
    p_values: Floats
    """(d,) adjusted: the chance of one or more false discoveries at this level is at most the level."""
    null_maxima: Floats
    """(n_permutations,) the largest statistic of all neurons on permuted labels."""

    @property
    def p_value(self) -> float:
        """That of the best neuron."""
        return float(self.p_values.min())


def max_statistic_test(
    statistic: Callable[[NDArray], ArrayLike],
    labels: ArrayLike,
    sequences: ArrayLike,
    n_permutations: int,
    rng: np.random.Generator,
) -> MaxStatisticTest:
    """Test every neuron against the best that permuted labels find among as many.

    Parameters
    ----------
    statistic : callable
        From labels (n,) to a number per neuron (d,), larger for a stronger neuron, as
        :func:`distance_from_chance` makes.
    labels : (n,) array
    sequences : (n,) array of int
        What is exchanged, as in :func:`sparse_probing.probes.controls.shuffled_labels`: whole
        sequences where each has one label, otherwise rows. Pass the group of every row where
        sequences of a group depend on each other.
    n_permutations : int
        The least p-value is 1 / (n_permutations + 1).
    rng : numpy.random.Generator

    Raises
    ------
    ProbeError
        If there is no permutation to make, or a statistic is NaN.

    References
    ----------
    Westfall and Young, Resampling-Based Multiple Testing (1993), step-down maxT, as in Ge,
    Dudoit and Speed, Test 12 (2003), box 2.
    """
    if n_permutations < 1:
        raise ProbeError(f"Cannot test with {n_permutations} permutations. Try 999.")
    observed = _evaluated(statistic, np.asarray(labels))
    worst_first = np.argsort(observed, kind="stable")
    reached, maxima = np.zeros(len(observed)), np.empty(n_permutations)
    for i in range(n_permutations):
        null = _evaluated(statistic, shuffled_labels(labels, sequences, rng))
        best_so_far = np.maximum.accumulate(null[worst_first])
        reached += best_so_far >= observed[worst_first]
        maxima[i] = best_so_far[-1]
    p_values = np.empty(len(observed))
    p_values[worst_first] = np.maximum.accumulate((1 + reached[::-1]) / (1 + n_permutations))[::-1]
    return MaxStatisticTest(observed, p_values, maxima)


def distance_from_chance(X: ArrayLike) -> Callable[[NDArray], Floats]:
    """Return the function from labels -1/+1 (n,) to |ROC-AUC - 1/2| (d,) of every column of ``X`` (n, d).

    Columns are ranked once; every further labelling costs one product with the (n, d) ranks,
    which are kept as float64.

    Raises
    ------
    ProbeError
        If ``X`` is no finite, non-empty matrix; from the function, if labels do not fit.
    """
    from scipy.stats import rankdata  # here: importing it costs most of a second, in every job of a cluster

    activations = check_activations(X)
    centred = np.empty((activations.shape[1], len(activations)))
    for columns, block in column_blocks(activations):
        centred[columns] = rankdata(block, axis=1) - (block.shape[1] + 1) / 2

    def statistic(labels: NDArray) -> Floats:
        positive = check_labels(labels) > 0
        n_positive = np.count_nonzero(positive)
        # Ranks around their mean: the sum over positives is the area's distance from 1/2, in pairs.
        return np.abs(centred @ positive) / (n_positive * (len(positive) - n_positive))

    return statistic


def _evaluated(statistic: Callable[[NDArray], ArrayLike], labels: NDArray) -> Floats:
    values = np.asarray(statistic(labels), dtype=np.float64)
    if values.ndim != 1 or np.isnan(values).any():
        raise ProbeError(f"The statistic gave shape {values.shape} or NaN. It must be one number per neuron.")
    return values
