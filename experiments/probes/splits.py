"""Training and test rows: stratified, with whole groups."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from experiments.probes.inputs import Integers
from probing_datasets.foundation.errors import SplitError

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
    codes = np.unique(groups, return_inverse=True)[1]
    positives = np.bincount(codes, weights=labels == 1).astype(np.int64)
    negatives = np.bincount(codes, weights=labels == -1).astype(np.int64)
    in_test = _choose_groups(positives, negatives, test_fraction, np.random.default_rng(seed))
    row_in_test = in_test[codes]
    return Split(train=np.flatnonzero(~row_in_test), test=np.flatnonzero(row_in_test))


def _check(labels: NDArray, groups: NDArray, test_fraction: float) -> None:
    if labels.ndim != 1 or labels.shape != groups.shape:
        raise SplitError(f"Labels {labels.shape} and groups {groups.shape} must be vectors of one length.")
    if not np.isin(labels, (-1, 1)).all():
        raise SplitError("Labels must be -1 or +1. Recode the two classes first.")
    if not 0 < test_fraction < 1:
        raise SplitError(f"The test fraction is {test_fraction}, not between 0 and 1. Try 0.3.")


def _choose_groups(
    positives: Integers, negatives: Integers, test_fraction: float, rng: np.random.Generator
) -> NDArray[np.bool_]:
    """Return which groups are tested, given how many rows of each class every group holds."""
    in_test = np.zeros(len(positives), dtype=bool)
    with_positives = rng.permutation(np.flatnonzero(positives))
    _need_two_groups("positive", positives)
    _need_two_groups("negative", negatives)
    take = _nearest_prefix(positives[with_positives], test_fraction * positives.sum(), 1, 1)
    in_test[with_positives[:take]] = True

    only_negatives = rng.permutation(np.flatnonzero(positives == 0))
    came_along, stayed = negatives[with_positives[:take]].sum(), negatives[with_positives[take:]].sum()
    missing = test_fraction * negatives.sum() - came_along
    fewest, left_over = int(came_along == 0), int(stayed == 0)
    if fewest + left_over > len(only_negatives):
        side = "test" if came_along == 0 else "training"
        raise SplitError(
            f"The {side} side would have no negative row: {len(only_negatives)} groups hold negatives alone, "
            f"{fewest + left_over} are needed. {REMEDY}"
        )
    take = _nearest_prefix(negatives[only_negatives], missing, fewest, left_over)
    in_test[only_negatives[:take]] = True
    return in_test


def _need_two_groups(name: str, rows_per_group: Integers) -> None:
    """One group cannot be on both sides."""
    n_groups = np.count_nonzero(rows_per_group)
    if n_groups < 2:
        raise SplitError(
            f"{rows_per_group.sum()} {name} rows in {n_groups} groups: "
            f"at least 2 groups with {name} rows are needed, one for each side. {REMEDY}"
        )


def _nearest_prefix(sizes: Integers, target: float, fewest: int, left_over: int) -> int:
    """Return how many leading groups together come nearest to ``target`` rows.

    At least ``fewest`` are taken and at least ``left_over`` are not.
    """
    totals = np.concatenate([[0], np.cumsum(sizes)])[fewest : len(sizes) + 1 - left_over]
    return fewest + int(np.argmin(np.abs(totals - target)))
