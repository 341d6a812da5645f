"""Folds with whole groups, for cross-validation and for selection on training rows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from probing_datasets.foundation.errors import SplitError
from sparse_probing.probes.inputs.validation import Integers
from sparse_probing.probes.splits.covering_parts import covering_parts
from sparse_probing.probes.splits.grouped_split import Split, class_text

FEWER_FOLDS = "Use fewer folds or more data."


def grouped_folds(
    labels: ArrayLike | None, groups: ArrayLike, n_folds: int, seed: int, class_names: Sequence[str] = ()
) -> list[Split]:
    """Divide rows into folds so that no group is in two folds and every fold has every class.

    The classes follow one another, the class in the fewest groups first. Its groups, the largest
    first and equal ones in random order, go one by one to the fold with the fewest rows of the class.
    Where this leaves a fold without a class, the groups that the classes cannot do without are assigned
    first, by an exact search. Folds are refused only if there are none.

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
    class_names : sequence of str
        Names of classes 0, 1, ..., for errors; empty where they have none.

    Returns
    -------
    list of Split
        One per fold: the fold is its ``test`` side, all other rows are its ``train`` side.

    Raises
    ------
    SplitError
        If a class is in fewer groups than there are folds, if no division of the groups has every class
        in every fold, or if the lengths differ.

    Notes
    -----
    scikit-learn's ``StratifiedGroupKFold`` also balances the folds, but may leave one without a
    class that has enough groups for all.
    """
    groups = np.asarray(groups)
    without_classes = labels is None
    labels = np.zeros(len(groups)) if labels is None else np.asarray(labels)
    if labels.ndim != 1 or labels.shape != groups.shape or n_folds < 2:
        raise SplitError(
            f"Labels {labels.shape}, groups {groups.shape} and {n_folds} folds do not fit together. "
            "Pass one label and one group per row, and 2 folds or more."
        )
    rng = np.random.default_rng(seed)
    present, classes = np.unique(labels, return_inverse=True)
    names = [class_text(label, class_names) for label in present]
    codes = np.unique(groups, return_inverse=True)[1]
    rows_per_group = np.zeros((codes.max() + 1, len(names)), dtype=np.int64)
    np.add.at(rows_per_group, (codes, classes), 1)
    groups_per_class = np.count_nonzero(rows_per_group, axis=0)
    if (groups_per_class < n_folds).any():
        scarce = groups_per_class.argmin()
        where = "There are" if without_classes else f"Class {names[scarce]} is in"
        raise SplitError(f"{where} {groups_per_class[scarce]} groups, too few for {n_folds} folds. {FEWER_FOLDS}")
    fold_of_group = _fill_folds(rows_per_group, np.full(len(rows_per_group), -1), n_folds, rng)
    if not all((rows_per_group[fold_of_group == fold] > 0).any(axis=0).all() for fold in range(n_folds)):
        # Groups that were free to go anywhere are used up: first assign those that the classes cannot do without.
        rng = np.random.default_rng(seed)
        needed = covering_parts(rows_per_group > 0, n_folds, rng)
        if needed is None:
            raise SplitError(
                f"None of the ways to divide {len(rows_per_group)} groups into {n_folds} folds has every class in "
                f"every fold: classes {', '.join(names)} share too few groups. {FEWER_FOLDS}"
            )
        fold_of_group = _fill_folds(rows_per_group, needed, n_folds, rng)
    fold_of_row = fold_of_group[codes]
    return [Split(np.flatnonzero(fold_of_row != fold), np.flatnonzero(fold_of_row == fold)) for fold in range(n_folds)]


def _fill_folds(rows_per_group: Integers, fold_of_group: Integers, n_folds: int, rng: np.random.Generator) -> Integers:
    """Assign the groups that have no fold (-1) class by class; a fold may miss a class that has no free group left."""
    fold_of_group = fold_of_group.copy()
    rows_per_fold = np.zeros((n_folds, rows_per_group.shape[1]), dtype=np.int64)
    for group in np.flatnonzero(fold_of_group >= 0):
        rows_per_fold[fold_of_group[group]] += rows_per_group[group]
    for name in np.argsort(np.count_nonzero(rows_per_group, axis=0), kind="stable"):
        free = rng.permutation(np.flatnonzero((rows_per_group[:, name] > 0) & (fold_of_group < 0)))
        for group in free[np.argsort(-rows_per_group[free, name], kind="stable")]:
            fold = rows_per_fold[:, name].argmin()
            fold_of_group[group] = fold
            rows_per_fold[fold] += rows_per_group[group]
    return fold_of_group
