"""Sample the positions that are probed, by the paper's rules.

A feature gets up to a target number of rows with a target fraction of positives. All
features of a collection draw by one shared random priority of positions, so that the
rows they choose overlap and fewer activations are stored (Gurnee et al. 2023, appendix).
"""

from __future__ import annotations

import numpy as np


def sample_feature(
    is_positive: np.ndarray, priority: np.ndarray, n_rows: int, positive_fraction: float
) -> tuple[np.ndarray, np.ndarray]:
    """Choose rows of one feature.

    Parameters
    ----------
    is_positive : (n,) bool
        Label of every candidate position.
    priority : (n,) int64
        Candidates from first to last choice, all or a part; the same for all features of a collection.
    n_rows : int
        Rows wanted.
    positive_fraction : float
        Fraction of them that should be positive. When a class has fewer candidates, all of them
        are taken and the other class is reduced so that the fraction holds.

    Returns
    -------
    rows : (m,) int64
        Indices of candidates, increasing.
    label : (m,) float64
        -1 or +1.
    """
    ordered = is_positive[priority]
    positives, negatives = priority[ordered], priority[~ordered]
    n_positive, n_negative = class_sizes(len(positives), len(negatives), n_rows, positive_fraction)
    rows = np.sort(np.concatenate([positives[:n_positive], negatives[:n_negative]]))
    return rows, np.where(is_positive[rows], 1.0, -1.0)


def second_groups_first(labels: np.ndarray, groups: np.ndarray, priority: np.ndarray) -> np.ndarray:
    """Return a priority in which the first two items of every label are of two groups, where it has two.

    A sample of two or more items of each label by this priority can be split with whole groups.

    Parameters
    ----------
    labels, groups : (m,) arrays
        Label and group of every item.
    priority : (p,) int64
        Items from first to last choice, all or a part; other items keep their order.
    """
    first: list[int] = []
    for label in np.unique(labels[priority]):
        of_label = priority[labels[priority] == label]
        others = of_label[groups[of_label] != groups[of_label[0]]]
        first += [int(of_label[0]), *map(int, others[:1])]
    return np.concatenate([np.array(first, np.int64), priority[~np.isin(priority, first)]])


def class_sizes(n_positive: int, n_negative: int, n_rows: int, positive_fraction: float) -> tuple[int, int]:
    """Return how many of the available positives and negatives to take, so that the fraction holds."""
    negatives_each = (1 - positive_fraction) / positive_fraction
    n_taken = min(round(n_rows * positive_fraction), n_positive)
    while round(n_taken * negatives_each) > n_negative:
        n_taken -= 1
    return n_taken, round(n_taken * negatives_each)


def sample_positions(
    lengths: np.ndarray, first: int, n_suffix: int, per_sequence: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Choose up to ``per_sequence`` positions of every sequence at random.

    Positions before ``first`` and the last ``n_suffix`` are never chosen. From a sequence without other
    positions, the last position before the suffix is chosen.

    Returns
    -------
    sequence, position : (m,) int64
        Ordered by sequence and position.
    """
    sequences, positions = [], []
    for index, length in enumerate(lengths.tolist()):
        stop = length - n_suffix
        candidates = np.arange(min(first, stop - 1), stop)
        size = min(per_sequence, len(candidates))
        positions.append(np.sort(rng.choice(candidates, size=size, replace=False)))
        sequences.append(np.full(size, index))
    return np.concatenate(sequences).astype(np.int64), np.concatenate(positions).astype(np.int64)


def positive_share(natural: float, least: float) -> float:
    """Return the target fraction of positives: the natural one, but at least ``least`` and at most one half."""
    return max(least, min(natural, 0.5))


def subsample_evenly(labels: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """Return the indices (increasing) of at most ``n`` items, as evenly over labels as they allow."""
    return first_evenly(labels, rng.permutation(len(labels)), n)


def first_evenly(labels: np.ndarray, priority: np.ndarray, n: int) -> np.ndarray:
    """Return the indices (increasing) of the first ``n`` items by priority, as evenly over labels as they allow.

    Parameters
    ----------
    labels : (m,) array
    priority : (p,) int64
        Items from first to last choice, all or a part.
    n : int
    """
    _, codes = np.unique(labels[priority], return_inverse=True)
    by_label = np.argsort(codes, kind="stable")
    sizes = np.bincount(codes)
    turn = np.empty(len(codes), np.int64)
    turn[by_label] = np.arange(len(codes)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return np.sort(priority[np.argsort(turn, kind="stable")[:n]])
