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
from sparse_probing.probes.inference.exchanged_labels import exchanged_labels
from sparse_probing.probes.inputs.blocks import column_blocks
from sparse_probing.probes.inputs.validation import Floats, check_activations

TOGETHER = 128
"""Permutations whose statistics are one matrix product."""

EXACT_ROWS = 8000
"""Up to so many rows, twice a sum of centred ranks is a whole number below 2^24."""


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
    groups: ArrayLike,
    n_permutations: int,
    rng: np.random.Generator,
    sequences: ArrayLike | None = None,
) -> MaxStatisticTest:
    """Test every neuron against the largest statistic of all neurons on permuted labels.

    Parameters
    ----------
    statistic : callable
        From b sets of labels (n, b) to a number per neuron and set (d, b), larger for a stronger neuron, such as
        the result of :func:`distance_from_chance`.
    labels : (n,) array
    groups : (n,) array of int
        Whole groups exchange their label patterns, as
        :func:`sparse_probing.probes.inference.exchanged_labels.exchanged_labels` describes. Rows of one group may
        depend on each other.
    n_permutations : int
        At least 1; the smallest possible p-value is 1 / (n_permutations + 1).
    rng : numpy.random.Generator
    sequences : (n,) array of int, optional
        Units of a pattern where every sequence has one label.

    Raises
    ------
    ProbeError
        If ``n_permutations`` is below 1, or the statistic does not return one number per neuron and set.

    References
    ----------
    Westfall and Young, Resampling-Based Multiple Testing (1993), step-down maxT, as in Ge,
    Dudoit and Speed, Test 12 (2003), box 2.
    """
    if n_permutations < 1:
        raise ProbeError(f"Cannot test with {n_permutations} permutations. Try 999.")
    labels = np.asarray(labels)
    observed = _evaluate(statistic, labels[:, None])[:, 0]
    # Step down: a neuron is compared with the maximum over itself and all weaker neurons.
    worst_first = np.argsort(observed, kind="stable")
    exceeded, maxima = np.zeros(len(observed)), np.empty(n_permutations)
    for done in range(0, n_permutations, TOGETHER):
        together = min(TOGETHER, n_permutations - done)
        null = _evaluate(statistic, exchanged_labels(labels, groups, together, rng, sequences))
        running_maximum = np.maximum.accumulate(null[worst_first], axis=0)
        exceeded += (running_maximum >= observed[worst_first, None]).sum(axis=1)
        maxima[done : done + together] = running_maximum[-1]
    # A p-value is never below that of a stronger neuron.
    p_values = np.empty(len(observed))
    p_values[worst_first] = np.maximum.accumulate((1 + exceeded[::-1]) / (1 + n_permutations))[::-1]
    return MaxStatisticTest(observed, p_values, maxima)


def distance_from_chance(X: ArrayLike) -> Callable[[NDArray], Floats]:
    """Return the function from labels -1/+1 (n, b) to |ROC-AUC - 1/2| (d, b) of every column of ``X`` (n, d).

    Columns are ranked once. Every call of the function then costs one matrix product with the (d, n)
    ranks, which are float32 up to 8,000 rows, where sums of ranks are exact, and float64 above.

    Raises
    ------
    ProbeError
        If ``X`` is not a finite, non-empty matrix; from the function, if labels are not -1/+1 of both classes.
    """
    from scipy.stats import rankdata  # here, because its import takes most of a second in every process

    activations = check_activations(X)
    n = len(activations)
    doubled = np.empty((activations.shape[1], n), dtype=np.float32 if n <= EXACT_ROWS else np.float64)
    for columns, block in column_blocks(activations):
        doubled[columns] = 2 * rankdata(block, axis=1) - (n + 1)  # whole numbers

    def statistic(labels: NDArray) -> Floats:
        if not np.isin(labels, (-1, 1)).all():
            raise ProbeError("Labels must be -1 or +1.")
        positive = labels > 0
        n_positive = np.count_nonzero(positive, axis=0)
        n_pairs = n_positive * (n - n_positive)
        if not n_pairs.all():
            raise ProbeError("The areas need rows of both classes, but labels are all of one. Use more data.")
        # The sum of centred ranks over the positives is the distance of the area from 1/2, times the pairs.
        return np.abs(doubled @ positive.astype(doubled.dtype)).astype(np.float64) / (2 * n_pairs)

    return statistic


def _evaluate(statistic: Callable[[NDArray], ArrayLike], labels: NDArray) -> Floats:
    values = np.asarray(statistic(labels), dtype=np.float64)
    if values.ndim != 2 or values.shape[1] != labels.shape[1] or np.isnan(values).any():
        raise ProbeError(
            f"The statistic has shape {values.shape} or is NaN. "
            f"It must be one number per neuron for each of {labels.shape[1]} sets of labels."
        )
    return values
