"""One split of whole groups into training, validation and test rows that serves all features of a data set at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import csr_array

from probing_datasets.feature_dataset import FeatureKind
from probing_datasets.foundation.errors import SplitError, first_names
from sparse_probing.probes.inputs.validation import Floats, Integers
from sparse_probing.probes.splits.covering_parts import covering_parts
from sparse_probing.probes.splits.grouped_split import REMEDY, class_text

PARTS = ("training", "validation", "test")


@dataclass(frozen=True)
class ThreeParts:
    """Row indices of the three parts, each sorted; every row is in one part, every group too."""

    train: Integers
    validation: Integers
    test: Integers


def common_split(
    labels: ArrayLike,
    groups: ArrayLike,
    kinds: Sequence[FeatureKind],
    validation_fraction: float,
    test_fraction: float | None,
    seed: int,
    names: Sequence[str] = (),
    class_names: Sequence[Sequence[str]] = (),
) -> ThreeParts:
    """Split rows so that no group is in two parts and every class of every feature is in each part.

    Iterative stratification: the class with the fewest groups left follows next. Its groups go, in random order and
    one by one, to the part that misses the largest share of the rows of the group's classes. A regression feature is
    one class, its labelled rows; all rows are one class too. Where this leaves a part without a class, the groups that
    the classes cannot do without are assigned first, by an exact search. A split is refused only if none exists.

    Parameters
    ----------
    labels : (n, S) array of float
        A column for each feature: -1/+1, class numbers or real numbers; NaN for rows without a label.
    groups : (n,) array of int
        Rows that must stay together; any codes.
    kinds : sequence of {"binary", "multiclass", "regression"}
        Of the S features.
    validation_fraction, test_fraction : float
        Requested shares of all rows, and of each class; above 0, together below 1. Without a test fraction the rows
        are divided into training and validation, and the test part is empty.
    seed : int
        The same seed gives the same split.
    names : sequence of str
        Names of the features, for errors.
    class_names : sequence of sequence of str
        Names of the classes 0, 1, ... of each feature, for errors; empty for features without.

    Raises
    ------
    SplitError
        If the arguments do not fit together, a feature has one class only, a class is in fewer groups than there are
        parts, or no division of the groups has every class in each part.

    References
    ----------
    Sechidis, Tsoumakas and Vlahavas, On the Stratification of Multi-Label Data (ECML 2011), algorithm 1, which divides
    single examples and may leave a part without a class.
    """
    labels, groups = np.asarray(labels, np.float64), np.asarray(groups)
    if labels.shape != (len(groups), len(kinds)) or groups.ndim != 1 or not len(groups):
        raise SplitError(f"Labels {labels.shape}, groups {groups.shape} and {len(kinds)} kinds do not fit together.")
    fractions = [validation_fraction] if test_fraction is None else [validation_fraction, test_fraction]
    shares, names_of_parts = np.array([1 - sum(fractions), *fractions]), ", ".join(PARTS[: 1 + len(fractions)])
    if not (shares > 0).all():
        raise SplitError(
            f"Validation fraction {validation_fraction} and test fraction {test_fraction} must be above 0, and "
            "together below 1, so that training rows are left. Try 0.1 and 0.3."
        )
    codes = np.unique(groups, return_inverse=True)[1]
    rows_per_group, class_labels = _count_classes(labels, codes, kinds, names, class_names)
    groups_of_class = np.bincount(rows_per_group.indices, minlength=rows_per_group.shape[1])
    scarcest = int(groups_of_class.argmin())
    if groups_of_class[scarcest] < len(shares):
        scarce = class_labels[scarcest]
        raise SplitError(
            f"{scarce[0].upper()}{scarce[1:]} are in {groups_of_class[scarcest]} groups: at least {len(shares)} are "
            f"needed, one for each part ({names_of_parts}). {REMEDY}"
        )
    n_groups = rows_per_group.shape[0]
    part_of_group = _fill_parts(rows_per_group, np.full(n_groups, -1), shares, np.random.default_rng(seed))
    if not _covers(rows_per_group, part_of_group, len(shares)):
        # Groups that were free to go anywhere are used up: first assign those that the classes cannot do without.
        rng = np.random.default_rng(seed)
        needed = covering_parts(rows_per_group.toarray() > 0, len(shares), rng)
        if needed is None:
            fewest = first_names((class_labels[i] for i in np.argsort(groups_of_class, kind="stable")), 3)
            raise SplitError(
                f"None of the ways to divide {n_groups} groups into {names_of_parts} parts has every class in each: "
                f"the classes share too few groups; in the fewest are {fewest}. {REMEDY}"
            )
        part_of_group = _fill_parts(rows_per_group, needed, shares, rng)
    part_of_row = part_of_group[codes]
    return ThreeParts(*(np.flatnonzero(part_of_row == part) for part in range(len(PARTS))))


def _count_classes(
    labels: Floats,
    codes: Integers,
    kinds: Sequence[FeatureKind],
    names: Sequence[str],
    class_names: Sequence[Sequence[str]],
) -> tuple[csr_array, list[str]]:
    """Return the rows (n_groups, classes) of each class in each group, all rows as the last class, and their names."""
    class_of_row, of_rows, class_labels = [], [], []
    for s, (kind, column) in enumerate(zip(kinds, labels.T, strict=True)):
        feature = f"label set {names[s]!r}" if names else f"label set {s}"
        rows = np.flatnonzero(~np.isnan(column))
        if kind == "regression":
            present, classes = np.array([0.0]), np.zeros(len(rows), np.int64)
            texts = [f"rows with a target of {feature}"]
        else:
            present, classes = np.unique(column[rows], return_inverse=True)
            if len(present) < 2:
                raise SplitError(
                    f"The {len(rows)} labelled rows of {feature} are of {len(present)} classes: at least 2 are needed. "
                    f"{REMEDY}"
                )
            of_feature = class_names[s] if class_names else ()
            texts = [f"rows of class {class_text(label, of_feature)} of {feature}" for label in present]
        class_of_row.append(classes + len(class_labels))
        of_rows.append(rows)
        class_labels += texts
    class_of_row.append(np.full(len(codes), len(class_labels)))
    of_rows.append(np.arange(len(codes)))
    class_labels.append("rows")
    where = (codes[np.concatenate(of_rows)], np.concatenate(class_of_row))
    # Pairs that occur several times are added up.
    counted = csr_array((np.ones(len(where[0])), where), shape=(codes.max() + 1, len(class_labels)))
    return counted, class_labels


def _covers(rows_per_group: csr_array, part_of_group: Integers, n_parts: int) -> bool:
    """Return whether each part has a group of every class."""
    n_groups = len(part_of_group)
    is_in_part = csr_array((np.ones(n_groups), (part_of_group, np.arange(n_groups))), shape=(n_parts, n_groups))
    return bool(((is_in_part @ rows_per_group).toarray() > 0).all())


def _fill_parts(
    rows_per_group: csr_array, part_of_group: Integers, shares: Floats, rng: np.random.Generator
) -> Integers:
    """Assign the groups that have no part (-1); a part may miss a class that has no free group left."""
    parts = part_of_group.copy()
    n_groups, n_classes = rows_per_group.shape
    start, classes, counts = rows_per_group.indptr, rows_per_group.indices, rows_per_group.data
    by_class = rows_per_group.tocsc()
    expected = shares[:, None] * rows_per_group.sum(axis=0)
    missing = expected.copy()
    is_without = np.ones((len(shares), n_classes), dtype=np.bool_)
    free_groups = np.diff(by_class.indptr)

    def assign(group: np.intp | int, part: int) -> None:
        of_group = slice(start[group], start[group + 1])
        missing[part, classes[of_group]] -= counts[of_group]
        is_without[part, classes[of_group]] = False
        free_groups[classes[of_group]] -= 1
        parts[group] = part

    for group in np.flatnonzero(parts >= 0):
        assign(group, int(parts[group]))
    while free_groups.any():
        rarest = int(np.where(free_groups > 0, free_groups, n_groups + 1).argmin())
        members = by_class.indices[by_class.indptr[rarest] : by_class.indptr[rarest + 1]]
        members = rng.permutation(members[parts[members] < 0])
        for i, group in enumerate(members):
            of_group = slice(start[group], start[group + 1])
            c, k = counts[of_group], classes[of_group]
            # By how much the group brings each part nearer: the fall of the sum of (rows - expected)^2 / expected.
            gain = (c * (2 * missing[:, k] - c) / expected[:, k]).sum(axis=1)
            # Among the parts that it brings nearer its size must not decide, or small parts would get small groups.
            need = np.where(gain > 0, (c * missing[:, k] / expected[:, k]).sum(axis=1), -np.inf)
            preference = need if (gain > 0).any() else gain
            # Each part that has no group of the class yet needs one of those that are left.
            if 0 < is_without[:, rarest].sum() >= len(members) - i:
                preference = np.where(is_without[:, rarest], gain, -np.inf)
            assign(group, int(preference.argmax()))
    return parts
