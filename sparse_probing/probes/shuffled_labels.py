"""Controls: labels that are independent of the activations."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def shuffled_labels(labels: ArrayLike, sequences: ArrayLike, rng: np.random.Generator) -> NDArray:
    """Permute labels over sequences where every sequence has one label, otherwise over rows.

    Neighbouring tokens are similar. Where the label belongs to the sequence, a permutation over
    rows would destroy this dependence and make the control too weak.

    Parameters
    ----------
    labels : (n,) array
    sequences : (n,) array of int
        The sequence of every row; any codes.
    rng : numpy.random.Generator

    Returns
    -------
    (n,) array of the dtype of ``labels``
        As many sequences (or rows) of each class as before.
    """
    labels = np.asarray(labels)
    _, first_row, codes = np.unique(sequences, return_index=True, return_inverse=True)
    label_of_sequence = labels[first_row]
    if (label_of_sequence[codes] == labels).all():
        return rng.permutation(label_of_sequence)[codes]
    return rng.permutation(labels)


def exchangeable_units(labels: ArrayLike, sequences: ArrayLike, groups: ArrayLike) -> NDArray:
    """Return the units that :func:`shuffled_labels` should exchange, as codes (n,).

    The groups where every group has one label, because the sequences of a group are similar too;
    otherwise the sequences, instead of which :func:`shuffled_labels` exchanges rows where needed.
    """
    labels, groups = np.asarray(labels), np.asarray(groups)
    _, first_row, codes = np.unique(groups, return_index=True, return_inverse=True)
    return groups if (labels[first_row][codes] == labels).all() else np.asarray(sequences)
