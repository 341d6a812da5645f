"""Folds with whole groups, for cross-validation and for selection on training rows."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from probing_datasets.foundation.errors import SplitError
from sparse_probing.probes.splits.grouped_split import REMEDY, Split


def grouped_folds(labels: ArrayLike | None, groups: ArrayLike, n_folds: int, seed: int) -> list[Split]:
    """Divide rows into folds so that no group is in two folds and every fold has every class.

    The classes follow one another, the class in the fewest groups first. Its groups, the largest
    first and equal ones in random order, go one by one to the fold with the fewest rows of the class.

    Parameters
    ----------
    labels : (n,) array of int or str, or None
        Classes; None where there are none (regression): folds then have about as many rows each.
    groups : (n,) array of int
        Rows that must stay together; any codes.
    n_folds : int
        At least 2.
    seed : int
        The same seed gives the same folds.

    Returns
    -------
    list of Split
        One per fold: the fold is its ``test`` side, all other rows are its ``train`` side.

    Raises
    ------
    SplitError
        If a class is in fewer groups than there are folds, if a fold would have no row of a class
        nevertheless, or if the lengths differ.

    Notes
    -----
    scikit-learn's ``StratifiedGroupKFold`` also balances the folds, but may leave one without a
    class that has enough groups for all.
    """
    groups = np.asarray(groups)
    labels = np.zeros(len(groups)) if labels is None else np.asarray(labels)
    if labels.ndim != 1 or labels.shape != groups.shape or n_folds < 2:
        raise SplitError(
            f"Labels {labels.shape}, groups {groups.shape} and {n_folds} folds do not fit together. "
            "Pass one label and one group per row, and 2 folds or more."
        )
    rng = np.random.default_rng(seed)
    names, classes = np.unique(labels, return_inverse=True)
    codes = np.unique(groups, return_inverse=True)[1]
    rows_per_group = np.zeros((codes.max() + 1, len(names)), dtype=np.int64)
    np.add.at(rows_per_group, (codes, classes), 1)
    groups_per_class = np.count_nonzero(rows_per_group, axis=0)
    if (groups_per_class < n_folds).any():
        scarce = groups_per_class.argmin()
        raise SplitError(
            f"Class {names[scarce]} is in {groups_per_class[scarce]} groups, too few for {n_folds} folds. "
            "Use fewer folds or more data."
        )
    # Assign the groups of every class that no class before has assigned.
    fold_of_group = np.full(len(rows_per_group), -1)
    rows_per_fold = np.zeros((n_folds, len(names)), dtype=np.int64)
    for name in np.argsort(groups_per_class, kind="stable"):
        free = rng.permutation(np.flatnonzero((rows_per_group[:, name] > 0) & (fold_of_group < 0)))
        for group in free[np.argsort(-rows_per_group[free, name], kind="stable")]:
            fold = rows_per_fold[:, name].argmin()
            fold_of_group[group] = fold
            rows_per_fold[fold] += rows_per_group[group]
    for fold in range(n_folds):
        missing = names[rows_per_fold[fold] == 0]
        if len(missing):
            raise SplitError(f"Fold {fold} of {n_folds} would have no row of class {missing[0]}. {REMEDY}")
    fold_of_row = fold_of_group[codes]
    return [Split(np.flatnonzero(fold_of_row != fold), np.flatnonzero(fold_of_row == fold)) for fold in range(n_folds)]
