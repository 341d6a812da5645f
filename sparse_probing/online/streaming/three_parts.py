"""Training, validation and test rows for all label sets: of the split that a data set gives, or at random."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from probing_datasets.feature_dataset import FeatureDataset
from probing_datasets.feature_dataset.given_splits import NO_SPLIT, given_parts
from probing_datasets.feature_dataset.merge import merged_parts
from probing_datasets.foundation.errors import SplitError
from sparse_probing.config import OnlineConfig
from sparse_probing.online.learners.label_sets import LabelSet
from sparse_probing.probes.inputs.validation import Floats, Integers
from sparse_probing.probes.splits.common_split import PARTS, ThreeParts, common_split
from sparse_probing.probes.splits.grouped_split import class_text

GIVEN_NAMES = ("train", "validation", "test")


def three_parts(
    config: OnlineConfig,
    dataset: FeatureDataset,
    label_sets: Sequence[LabelSet],
    labels: Floats,
    sequence: Integers,
) -> ThreeParts:
    """Divide rows into three parts that serve all label sets.

    Where a data set gives a split, its rows follow it. Where that names no validation rows, whole groups of the
    training rows become them. The rows of data sets without a split are divided at random, in whole groups.

    Parameters
    ----------
    config : OnlineConfig
    dataset : FeatureDataset
        With further data sets, all of them as one; each gives a split or does not.
    label_sets : sequence of LabelSet
    labels : (n, S) array
        NaN for nulls.
    sequence : (n,) array of int
        Sequence of each row.

    Raises
    ------
    SplitError
        When a part would miss a class of a label set: of a given validation part, when it has fewer than two.
    """
    given, group = given_parts(dataset, sequence), dataset.group_codes[sequence]
    is_given = given != NO_SPLIT
    part = np.select([given == name for name in GIVEN_NAMES], [0, 1, 2], -1)
    # Data sets decide for themselves: one may give validation texts, another only test texts.
    bounds = [(each.start, each.stop) for each in merged_parts(dataset.description)] or [(0, len(dataset.lengths))]
    needs_validation = np.zeros(len(part), np.bool_)
    for start, stop in bounds:
        own = (sequence >= start) & (sequence < stop) & is_given
        needs_validation |= own & ~np.any(part[own] == 1)
    for own, at_random, test_fraction in (
        (~is_given, ~is_given, config.split.test_set_frac),
        (needs_validation, needs_validation & (part == 0), None),
    ):
        # Label sets of other data sets have no labels in these rows.
        columns = np.flatnonzero(~np.isnan(labels[own]).all(axis=0)).tolist()
        if not len(columns):
            continue
        rows, sets = np.flatnonzero(at_random), [label_sets[column] for column in columns]
        split = common_split(
            labels[rows][:, columns],
            group[rows],
            [each.kind for each in sets],
            config.validation_frac,
            test_fraction,
            config.activations.seed,
            [each.name for each in sets],
            [each.classes for each in sets],
        )
        for code, chosen in enumerate((split.train, split.validation, split.test)):
            part[rows[chosen]] = code
    for each, column in zip(label_sets, labels.T, strict=True):
        _check_given(each, column[is_given], part[is_given])
    return ThreeParts(*(np.flatnonzero(part == code) for code in range(len(PARTS))))


def _check_given(each: LabelSet, labels: Floats, part: Integers) -> None:
    """Raise SplitError when a part of a given split misses a class of a label set; targets are one class."""
    classes = np.zeros(1) if each.kind == "regression" else np.unique(labels[~np.isnan(labels)])
    if np.isnan(labels).all():
        return
    for code, name in enumerate(PARTS):
        own = labels[(part == code) & ~np.isnan(labels)]
        present = np.zeros(min(len(own), 1)) if each.kind == "regression" else own
        missing = np.setdiff1d(classes, present)
        if len(missing) and (name != "validation" or len(classes) - len(missing) < min(len(classes), 2)):
            of_class = "" if each.kind == "regression" else f" of class {class_text(missing[0], each.classes)}"
            raise SplitError(
                f"The split that the data set gives has no {name} rows{of_class} of label set {each.name!r}. Make it "
                "without --split_column."
            )
