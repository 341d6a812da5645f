"""Training and test rows with whole groups: every class on both sides, or by groups alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from probing_datasets.foundation.errors import SplitError
from sparse_probing.probes.validation import Booleans, Integers

REMEDY = "Use more data, fewer features at once (--feature_subset), another test fraction or another seed."


@dataclass(frozen=True)
class Split:
    """Row indices of the two sides, each sorted, together every row once."""

    train: Integers
    test: Integers


def grouped_stratified_split(labels: ArrayLike, groups: ArrayLike, test_fraction: float, seed: int) -> Split:
    """Split rows so that no group is on both sides and both sides have both classes.

    Groups that hold a positive row go to the test side, in random order, until it has
    about ``test_fraction`` of the positives; then groups of negatives alone until it has
    about ``test_fraction`` of all negatives, counting those that came with the positives.
    "About" is the nearest that whole groups in that order allow.

    Parameters
    ----------
    labels : (n,) array of -1 and +1
    groups : (n,) array of int
        What must not be separated (document, sentence pair, person); any codes.
    test_fraction : float
        Asked share of each class on the test side, strictly between 0 and 1.
    seed : int
        Same seed, same split.

    Raises
    ------
    SplitError
        If the arguments do not fit together, or a side would lack a class.
    """
    labels, groups = np.asarray(labels), np.asarray(groups)
    _check(labels, groups, test_fraction)
    if not np.isin(labels, (-1, 1)).all():
        raise SplitError("Labels must be -1 or +1. Recode the two classes first.")
    # Positives first, however many: features are mostly rare.
    classes = {"positive rows": labels == 1, "negative rows": labels == -1}
    return _split(classes, groups, test_fraction, seed)


def grouped_multiclass_split(labels: ArrayLike, groups: ArrayLike, test_fraction: float, seed: int) -> Split:
    """Split rows so that no group is on both sides and both sides have every class.

    As :func:`grouped_stratified_split`, with the classes in order of the number of groups that
    hold them, fewest first; each counts what came with the classes before it.

    Parameters
    ----------
    labels : (n,) array of int or str
        Two or more classes.
    groups, test_fraction, seed
        As in :func:`grouped_stratified_split`.

    Raises
    ------
    SplitError
        If the arguments do not fit together, or a side would lack a class.
    """
    labels, groups = np.asarray(labels), np.asarray(groups)
    _check(labels, groups, test_fraction)
    codes = np.unique(groups, return_inverse=True)[1]
    names = sorted(np.unique(labels), key=lambda name: len(np.unique(codes[labels == name])))
    return _split({f"rows of class {name}": labels == name for name in names}, groups, test_fraction, seed)


def grouped_split(groups: ArrayLike, test_fraction: float, seed: int) -> Split:
    """Split rows, whatever their labels, so that no group is on both sides: for regression.

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
    _check(groups, groups, test_fraction)
    return _split({"rows": np.ones(len(groups), dtype=bool)}, groups, test_fraction, seed)


def _check(labels: NDArray, groups: NDArray, test_fraction: float) -> None:
    if labels.ndim != 1 or labels.shape != groups.shape:
        raise SplitError(f"Labels {labels.shape} and groups {groups.shape} must be vectors of one length.")
    if not 0 < test_fraction < 1:
        raise SplitError(f"The test fraction is {test_fraction}, not between 0 and 1. Try 0.3.")


def _split(classes: dict[str, Booleans], groups: NDArray, test_fraction: float, seed: int) -> Split:
    """Split by the rows (n,) of every class, each class in turn."""
    codes = np.unique(groups, return_inverse=True)[1]
    rows_per_group = {name: np.bincount(codes, weights=rows).astype(np.int64) for name, rows in classes.items()}
    in_test = _choose_groups(rows_per_group, test_fraction, np.random.default_rng(seed))
    row_in_test = in_test[codes]
    return Split(train=np.flatnonzero(~row_in_test), test=np.flatnonzero(row_in_test))


def _choose_groups(rows_per_group: dict[str, Integers], test_fraction: float, rng: np.random.Generator) -> Booleans:
    """Return which groups are tested, given how many rows of each class every group holds."""
    for name, rows in rows_per_group.items():
        _need_two_groups(name, rows)
    n_groups = len(next(iter(rows_per_group.values())))
    in_test, chosen = np.zeros(n_groups, dtype=bool), np.zeros(n_groups, dtype=bool)
    for name, rows in rows_per_group.items():
        free = rng.permutation(np.flatnonzero((rows > 0) & ~chosen))
        came_along, stayed = rows[chosen & in_test].sum(), rows[chosen & ~in_test].sum()
        fewest, left_over = int(came_along == 0), int(stayed == 0)
        if fewest + left_over > len(free):
            raise _lacking(name, "test" if came_along == 0 else "training", len(free), fewest + left_over)
        take = _nearest_prefix(rows[free], test_fraction * rows.sum() - came_along, fewest, left_over)
        in_test[free[:take]] = chosen[free] = True
    return in_test


def _need_two_groups(name: str, rows_per_group: Integers) -> None:
    """One group cannot be on both sides."""
    n_groups = np.count_nonzero(rows_per_group)
    if n_groups < 2:
        raise SplitError(
            f"{rows_per_group.sum()} {name} in {n_groups} groups: "
            f"at least 2 groups with {name} are needed, one for each side. {REMEDY}"
        )


def _lacking(name: str, side: str, n_free: int, n_needed: int) -> SplitError:
    return SplitError(
        f"The {side} side would have no {name}: {n_free} groups are left that hold them "
        f"and none of the classes before, {n_needed} are needed. {REMEDY}"
    )


def _nearest_prefix(sizes: Integers, target: float, fewest: int, left_over: int) -> int:
    """Return how many leading groups together come nearest to ``target`` rows.

    At least ``fewest`` are taken and at least ``left_over`` are not.
    """
    totals = np.concatenate([[0], np.cumsum(sizes)])[fewest : len(sizes) + 1 - left_over]
    return fewest + int(np.argmin(np.abs(totals - target)))
