"""Folds of the training rows for a choice: of C, of alpha, of a point of a path."""

from __future__ import annotations

from numpy.typing import ArrayLike

from probing_datasets.foundation.errors import SplitError
from sparse_probing.probes.splits.grouped_folds import grouped_folds
from sparse_probing.probes.splits.grouped_split import Split


def validation_folds(labels: ArrayLike | None, groups: ArrayLike, n_folds: int, seed: int) -> list[Split]:
    """Divide rows into as many folds as there can be, ``n_folds`` at most; the arguments are those of `grouped_folds`.

    Returns
    -------
    list of Split
        Empty where not even two folds have every class on both sides: then there is nothing to choose by.
    """
    for n in range(n_folds, 1, -1):
        try:
            return grouped_folds(labels, groups, n, seed)
        except SplitError:
            continue
    return []
