"""Folds with whole groups: for cross-validation, and for choosing on training rows."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from probing_datasets.foundation.errors import SplitError
from sparse_probing.probes.splits.grouped_split import REMEDY, Split
from sparse_probing.probes.validation import Integers


def grouped_folds(labels: ArrayLike | None, groups: ArrayLike, n_folds: int, seed: int) -> list[Split]:
    """Cut rows into folds so that no group is in two and every fold has every class.

    Classes take turns, the one that fewest groups hold first: its groups, the largest first and
    equal ones in random order, go one by one to the fold with the fewest rows of the class.

    Parameters
    ----------
    labels : (n,) array of int or str, or None
        Classes; None where there are none (regression), to have folds of about as many rows.
    groups : (n,) array of int
        What must not be separated; any codes.
    n_folds : int
        At least 2.
    seed : int
        Same seed, same folds.

    Returns
    -------
    list of Split
        One per fold, which is its ``test`` side; all others are its ``train`` side.

    Raises
    ------
    SplitError
        If a class is in fewer groups than there are folds, a fold would lack a class all the
        same, or the lengths differ.

    Notes
    -----
    scikit-learn's ``StratifiedGroupKFold`` balances the folds as well but may leave one without a
    class that has groups enough for all.
    """
    groups = np.asarray(groups)
    labels = np.zeros(len(groups)) if labels is None else np.asarray(labels)
    if labels.ndim != 1 or labels.shape != groups.shape or n_folds < 2:
        raise SplitError(f"Labels {labels.shape}, groups {groups.shape} and {n_folds} folds do not fit together.")
    names, classes = np.unique(labels, return_inverse=True)
    codes = np.unique(groups, return_inverse=True)[1]
    rows_per_group = np.zeros((codes.max() + 1, len(names)), dtype=np.int64)
    np.add.at(rows_per_group, (codes, classes), 1)
    _need_a_group_per_fold(names, rows_per_group, n_folds)
    fold = _assign(rows_per_group, n_folds, np.random.default_rng(seed))
    _need_every_class(names, rows_per_group, fold, n_folds)
    return [Split(np.flatnonzero(fold[codes] != i), np.flatnonzero(fold[codes] == i)) for i in range(n_folds)]


def _assign(rows_per_group: Integers, n_folds: int, rng: np.random.Generator) -> Integers:
    """Return the fold of every group."""
    fold = np.full(len(rows_per_group), -1)
    rows_per_fold = np.zeros((n_folds, rows_per_group.shape[1]), dtype=np.int64)
    for name in np.argsort(np.count_nonzero(rows_per_group, axis=0), kind="stable"):
        free = rng.permutation(np.flatnonzero((rows_per_group[:, name] > 0) & (fold < 0)))
        for group in free[np.argsort(-rows_per_group[free, name], kind="stable")]:
            fold[group] = rows_per_fold[:, name].argmin()
            rows_per_fold[fold[group]] += rows_per_group[group]
    return fold


def _need_a_group_per_fold(names: NDArray, rows_per_group: Integers, n_folds: int) -> None:
    n_groups = np.count_nonzero(rows_per_group, axis=0)
    if (n_groups < n_folds).any():
        scarce = n_groups.argmin()
        raise SplitError(
            f"Class {names[scarce]} is in {n_groups[scarce]} groups, too few for {n_folds} folds. Use fewer folds or "
            "more data."
        )


def _need_every_class(names: NDArray, rows_per_group: Integers, fold: Integers, n_folds: int) -> None:
    for i in range(n_folds):
        missing = names[rows_per_group[fold == i].sum(axis=0) == 0]
        if len(missing):
            raise SplitError(f"Fold {i} of {n_folds} would have no row of class {missing[0]}. {REMEDY}")
