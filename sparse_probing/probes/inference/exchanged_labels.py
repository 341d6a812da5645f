"""Labels as they could have been, had they nothing to do with the activations: for permutation tests."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

MOST_DRAWS = 1000


def exchanged_labels(
    labels: ArrayLike,
    groups: ArrayLike,
    n_permutations: int,
    rng: np.random.Generator,
    sequences: ArrayLike | None = None,
) -> NDArray:
    """Return labels (n, n_permutations) that exchange the label patterns of whole groups.

    A group takes over the pattern of another group, stretched to its own length and turned by a random
    number of units, but not so that a run of the rarer class of the group is cut into two. What depends on the
    group, and what neighbours within a group have in common, stays together: where every group has one
    label, whole groups exchange labels; where every group has as many positives, labels move within groups.

    Parameters
    ----------
    labels : (n,) array
    groups : (n,) array of int
        Rows of one group may depend on each other; any codes.
    n_permutations : int
    rng : numpy.random.Generator
    sequences : (n,) array of int, optional
        Where every sequence has one label, sequences keep one: they are the units of a pattern. Otherwise rows are.
    """
    labels = np.asarray(labels)
    groups = np.unique(groups, return_inverse=True)[1]
    unit = np.arange(len(labels))
    if sequences is not None:
        _, first, codes = np.unique(np.stack([groups, sequences]), axis=1, return_index=True, return_inverse=True)
        codes = codes.ravel()
        if (labels[first][codes] == labels).all():
            unit = codes
    # Units in the order of their groups, and in a group in the order of their rows.
    _, first_row, unit = np.unique(unit, return_index=True, return_inverse=True)
    order = np.lexsort((first_row, groups[first_row]))
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    pattern, group = labels[first_row[order]], groups[first_row[order]]
    length = np.bincount(group)
    start = np.cumsum(length) - length
    within = np.arange(len(group)) - start[group]

    values, codes = np.unique(pattern, return_inverse=True)
    # The most frequent label of every group: the last of its pairs of group and label, sorted by their number.
    pairs, counts = np.unique(group * len(values) + codes, return_counts=True)
    frequent = np.empty(len(length), dtype=np.int64)
    by_count = pairs[::-1][np.argsort(counts[::-1], kind="stable")]  # of equally frequent ones the smallest counts
    frequent[by_count // len(values)] = by_count % len(values)
    previous = codes[start[group] + (within - 1) % length[group]]
    begins = np.flatnonzero((codes != previous) | (codes == frequent[group]))
    n_begins = np.bincount(group[begins], minlength=len(length))
    first_begin = np.cumsum(n_begins) - n_begins

    drawn = np.empty((len(group), n_permutations), dtype=labels.dtype)
    for i in range(n_permutations):
        for _ in range(MOST_DRAWS):
            source = rng.permutation(len(length))[group]
            begin = begins[first_begin + rng.integers(0, n_begins)][source] - start[source]
            stretched = within * length[source] // length[group]
            drawn[:, i] = pattern[start[source] + (stretched + begin) % length[source]]
            # Stretching may lose the only unit of a class.
            if (drawn[:, i] != drawn[0, i]).any():
                break
    return drawn[place[unit]]
