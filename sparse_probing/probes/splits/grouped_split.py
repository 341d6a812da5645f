"""Training and test rows with whole groups: every class on both sides, or groups without classes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from probing_datasets.foundation.errors import SplitError
from sparse_probing.probes.inputs.validation import Booleans, Integers

REMEDY = "Use more data, fewer features at once (--feature_subset), another test fraction or another seed."


@dataclass(frozen=True)
class Split:
    """Row indices of the two sides, each sorted; every row is on one side."""

    train: Integers
    test: Integers


def grouped_stratified_split(labels: ArrayLike, groups: ArrayLike, test_fraction: float, seed: int) -> Split:
    """Split rows so that no group is on both sides and both sides have both classes.

    Groups with a positive row go to the test side, in random order, until it has about
    ``test_fraction`` of the positives. Then groups of only negatives follow until it has about
    ``test_fraction`` of all negatives, which includes those in groups with positives. "About" is
    the nearest that whole groups in this order allow.

    Parameters
    ----------
    labels : (n,) array of -1 and +1
    groups : (n,) array of int
        Rows that must stay together (document, sentence pair, person); any codes.
    test_fraction : float
        Requested share of each class on the test side, strictly between 0 and 1.
    seed : int
        The same seed gives the same split.

    Raises
    ------
    SplitError
        If the arguments do not fit together, or a side would have no row of a class.
    """
    labels, groups = np.asarray(labels), np.asarray(groups)
    _check_arguments(labels, groups, test_fraction)
    if not np.isin(labels, (-1, 1)).all():
        raise SplitError("Labels must be -1 or +1. Recode the two classes first.")
    # Positives first, even if they are not the rarer class: they usually are.
    classes = {"positive rows": labels == 1, "negative rows": labels == -1}
    return _split(classes, groups, test_fraction, seed)


def grouped_multiclass_split(labels: ArrayLike, groups: ArrayLike, test_fraction: float, seed: int) -> Split:
    """Split rows so that no group is on both sides and both sides have every class.

    As :func:`grouped_stratified_split`, with the classes in the order of the number of groups that
    contain them, fewest first. Each class counts its rows in the groups of the classes before it.

    Parameters
    ----------
    labels : (n,) array of int or str
        Two or more classes.
    groups, test_fraction, seed
        As in :func:`grouped_stratified_split`.

    Raises
    ------
    SplitError
        If the arguments do not fit together, or a side would have no row of a class.
    """
    labels, groups = np.asarray(labels), np.asarray(groups)
    _check_arguments(labels, groups, test_fraction)
    codes = np.unique(groups, return_inverse=True)[1]
    names = sorted(np.unique(labels), key=lambda name: len(np.unique(codes[labels == name])))
    return _split({f"rows of class {name}": labels == name for name in names}, groups, test_fraction, seed)


def grouped_split(groups: ArrayLike, test_fraction: float, seed: int) -> Split:
    """Split rows without regard to labels, so that no group is on both sides: for regression.

    Groups go to the test side in random order until it has about ``test_fraction`` of the rows.

    Parameters
    ----------
    groups, test_fraction, seed
        As in :func:`grouped_stratified_split`.

    Raises
    ------
    SplitError
        If there are fewer than two groups, or the test fraction is not between 0 and 1.
    """
    groups = np.asarray(groups)
    _check_arguments(groups, groups, test_fraction)
    return _split({"rows": np.ones(len(groups), dtype=bool)}, groups, test_fraction, seed)


def _check_arguments(labels: NDArray, groups: NDArray, test_fraction: float) -> None:
    if labels.ndim != 1 or labels.shape != groups.shape:
        raise SplitError(f"Labels {labels.shape} and groups {groups.shape} must be vectors of one length.")
    if not 0 < test_fraction < 1:
        raise SplitError(f"The test fraction is {test_fraction}; it must be between 0 and 1. Try 0.3.")


def _split(classes: dict[str, Booleans], groups: NDArray, test_fraction: float, seed: int) -> Split:
    """Split by the rows (n,) of every class, one class after another."""
    rng = np.random.default_rng(seed)
    codes = np.unique(groups, return_inverse=True)[1]
    rows_per_group = {name: np.bincount(codes, weights=rows).astype(np.int64) for name, rows in classes.items()}
    # One group cannot be on both sides.
    for name, rows in rows_per_group.items():
        n_groups = np.count_nonzero(rows)
        if n_groups < 2:
            raise SplitError(
                f"There are {rows.sum()} {name} in {n_groups} groups: at least 2 groups with {name} are needed, "
                f"one for each side. {REMEDY}"
            )
    n_groups = len(next(iter(rows_per_group.values())))
    in_test, assigned = np.zeros(n_groups, dtype=bool), np.zeros(n_groups, dtype=bool)
    for name, rows in rows_per_group.items():
        # The free groups of this class in random order; the classes before it have assigned the others.
        free = rng.permutation(np.flatnonzero((rows > 0) & ~assigned))
        n_tested, n_trained = rows[assigned & in_test].sum(), rows[assigned & ~in_test].sum()
        # Each side that has no row of the class yet needs a free group.
        n_for_test, n_for_training = int(n_tested == 0), int(n_trained == 0)
        if n_for_test + n_for_training > len(free):
            side = "test" if n_tested == 0 else "training"
            raise SplitError(
                f"The {side} side would have no {name}: of the groups that contain them, {len(free)} are in none of "
                f"the classes before, but {n_for_test + n_for_training} are needed. {REMEDY}"
            )
        # Test the first groups, as many as come nearest to the rows that are still missing.
        totals = np.concatenate([[0], np.cumsum(rows[free])])[n_for_test : len(free) + 1 - n_for_training]
        missing = test_fraction * rows.sum() - n_tested
        n_taken = n_for_test + int(np.argmin(np.abs(totals - missing)))
        in_test[free[:n_taken]] = assigned[free] = True
    row_in_test = in_test[codes]
    return Split(train=np.flatnonzero(~row_in_test), test=np.flatnonzero(row_in_test))
