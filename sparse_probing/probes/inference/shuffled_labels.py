"""Controls: labels that are independent of the activations."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from probing_datasets.foundation.errors import ProbeError
from sparse_probing.probes.inference.exchanged_labels import MOST_DRAWS, exchanged_labels


def shuffled_labels(
    labels: ArrayLike,
    groups: ArrayLike,
    rng: np.random.Generator,
    sequences: ArrayLike | None = None,
    keep_classes: bool = True,
) -> NDArray:
    """Exchange labels between groups, by the rule of the permutation test.

    Rows of a group are similar. Where every group has one label, whole groups exchange labels. Otherwise they exchange
    their label patterns, as :func:`sparse_probing.probes.inference.exchanged_labels.exchanged_labels` describes.
    Labels that move freely over rows would destroy the dependence within groups and make the control too weak.

    Parameters
    ----------
    labels : (n,) array
    groups : (n,) array of int
        Rows of one group may depend on each other; any codes.
    rng : numpy.random.Generator
    sequences : (n,) array of int, optional
        Where every sequence has one label, sequences keep one.
    keep_classes : bool
        Whether every value of ``labels`` must occur again. Real numbers cannot: patterns are stretched.

    Returns
    -------
    (n,) array of the dtype of ``labels``
        As many groups of each class as before, where every group has one.

    Raises
    ------
    ProbeError
        If no exchange keeps all classes.
    """
    labels = np.asarray(labels)
    _, first_row, codes = np.unique(groups, return_index=True, return_inverse=True)
    label_of_group = labels[first_row]
    if (label_of_group[codes] == labels).all():
        return rng.permutation(label_of_group)[codes]
    n_classes = len(np.unique(labels))
    for _ in range(MOST_DRAWS):
        drawn = exchanged_labels(labels, codes, 1, rng, sequences)[:, 0]
        if not keep_classes or len(np.unique(drawn)) == n_classes:
            return drawn
    raise ProbeError(
        f"{MOST_DRAWS} exchanges of labels between {len(label_of_group)} groups lost one of {n_classes} classes. "
        "Use more data, or leave out the control shuffled_labels."
    )
