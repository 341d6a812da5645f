"""Training and test rows with whole groups: every class on both sides, or groups without classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from probing_datasets.foundation.errors import SplitError
from sparse_probing.probes.inputs.validation import Booleans, Integers
from sparse_probing.probes.splits.covering_parts import covering_parts

TRAIN, TEST, FREE = 0, 1, -1
REMEDY = "Use more data, or leave this feature out (--feature_subset)."


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

    Where this order leaves a side without a class, the groups that the classes cannot do without are
    assigned first, by an exact search. A split is refused only if there is none.

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
        If the arguments do not fit together, or a class is in fewer than two groups.
    """
    labels, groups = np.asarray(labels), np.asarray(groups)
    _check_arguments(labels, groups, test_fraction)
    if not np.isin(labels, (-1, 1)).all():
        raise SplitError("Labels must be -1 or +1. Recode the two classes first.")
    # Positives first, even if they are not the rarer class: they usually are.
    classes = {"positive rows": labels == 1, "negative rows": labels == -1}
    return _split(classes, groups, test_fraction, seed)


def grouped_multiclass_split(
    labels: ArrayLike, groups: ArrayLike, test_fraction: float, seed: int, class_names: Sequence[str] = ()
) -> Split:
    """Split rows so that no group is on both sides and both sides have every class.

    As :func:`grouped_stratified_split`, with the classes in the order of the number of groups that
    contain them, fewest first. Each class counts its rows in the groups of the classes before it.

    Parameters
    ----------
    labels : (n,) array of int or str
        Two or more classes.
    groups, test_fraction, seed
        As in :func:`grouped_stratified_split`.
    class_names : sequence of str
        Names of classes 0, 1, ..., for errors; empty where they have none.

    Raises
    ------
    SplitError
        If the arguments do not fit together, or no division of the groups has every class on both sides.
    """
    labels, groups = np.asarray(labels), np.asarray(groups)
    _check_arguments(labels, groups, test_fraction)
    codes = np.unique(groups, return_inverse=True)[1]
    present = sorted(np.unique(labels), key=lambda label: len(np.unique(codes[labels == label])))
    classes = {f"rows of class {class_text(label, class_names)}": labels == label for label in present}
    return _split(classes, groups, test_fraction, seed)


def class_text(label: Any, class_names: Sequence[str] = ()) -> str:
    """Return the name of the class of a label, as errors have it; its number where classes have no names.

    Examples
    --------
    >>> class_text(np.float64(1), ("joy", "anger")), class_text(np.float64(1))
    ('anger', '1')
    """
    if class_names:
        return class_names[int(label)]
    return f"{label:g}" if isinstance(label, np.number) else str(label)


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
    codes = np.unique(groups, return_inverse=True)[1]
    rows_per_group = np.stack([np.bincount(codes, weights=rows) for rows in classes.values()], axis=1).astype(np.int64)
    # One group cannot be on both sides.
    for name, rows in zip(classes, rows_per_group.T, strict=True):
        n_groups = np.count_nonzero(rows)
        if n_groups < 2:
            raise SplitError(
                f"There are {rows.sum()} {name} in {n_groups} groups: at least 2 groups with {name} are needed, "
                f"one for each side. {REMEDY}"
            )
    free = np.full(len(rows_per_group), FREE)
    side_of_group = _fill_sides(rows_per_group, free, test_fraction, np.random.default_rng(seed))
    if not all((rows_per_group[side_of_group == side] > 0).any(axis=0).all() for side in (TRAIN, TEST)):
        # Groups that were free to go anywhere are used up: first assign those that the classes cannot do without.
        rng = np.random.default_rng(seed)
        needed = covering_parts(rows_per_group > 0, 2, rng)
        if needed is None:
            raise SplitError(
                f"None of the ways to divide {len(rows_per_group)} groups into two sides has every class on both: "
                f"{', '.join(classes)} share too few groups. {REMEDY}"
            )
        side_of_group = _fill_sides(rows_per_group, needed, test_fraction, rng)
        side_of_group = _nearer_to_fraction(rows_per_group, side_of_group, test_fraction)
    in_test = side_of_group[codes] == TEST
    return Split(train=np.flatnonzero(~in_test), test=np.flatnonzero(in_test))


def _fill_sides(
    rows_per_group: Integers, side_of_group: Integers, test_fraction: float, rng: np.random.Generator
) -> Integers:
    """Assign the free groups class by class; a side may miss a class that has no free group left."""
    sides = side_of_group.copy()
    for rows in rows_per_group.T:
        # The free groups of this class in random order; the classes before it have assigned the others.
        free = rng.permutation(np.flatnonzero((rows > 0) & (sides == FREE)))
        n_tested, n_trained = rows[sides == TEST].sum(), rows[sides == TRAIN].sum()
        # Each side that has no row of the class yet needs a free group.
        n_for_test, n_for_training = int(n_tested == 0), int(n_trained == 0)
        if n_for_test + n_for_training > len(free):
            continue
        # Test the first groups, as many as come nearest to the rows that are still missing.
        totals = np.concatenate([[0], np.cumsum(rows[free])])[n_for_test : len(free) + 1 - n_for_training]
        missing = test_fraction * rows.sum() - n_tested
        n_taken = n_for_test + int(np.argmin(np.abs(totals - missing)))
        sides[free[:n_taken]], sides[free[n_taken:]] = TEST, TRAIN
    return sides


def _nearer_to_fraction(rows_per_group: Integers, side_of_group: Integers, test_fraction: float) -> Integers:
    """Move one group at a time, while that brings the shares of the classes on the test side nearer to the request.

    A move never takes the last row of a class from a side.
    """
    sides = side_of_group.copy()
    shares = rows_per_group / rows_per_group.sum(axis=0)
    while True:
        tested = shares[sides == TEST].sum(axis=0)
        moved = tested + np.where(sides == TEST, -1, 1)[:, None] * shares
        distance = np.abs(moved - test_fraction).sum(axis=1)
        groups_left = np.where(
            (sides == TEST)[:, None],
            (rows_per_group[sides == TEST] > 0).sum(axis=0),
            (rows_per_group[sides == TRAIN] > 0).sum(axis=0),
        )
        distance[((groups_left == 1) & (rows_per_group > 0)).any(axis=1)] = np.inf
        best = int(distance.argmin())
        if distance[best] > np.abs(tested - test_fraction).sum() - 1e-9:
            return sides
        sides[best] = TRAIN if sides[best] == TEST else TEST
