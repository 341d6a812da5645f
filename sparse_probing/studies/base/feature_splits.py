"""The labels of features at the rows of a layer, and the division of the rows into training and test rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from probing_datasets.feature_dataset import Aggregation, FeatureDataset, FeatureKind
from probing_datasets.feature_dataset.probed_rows import FeatureRows, ProbedRows, feature_rows
from probing_datasets.foundation.errors import DatasetError, SplitError
from sparse_probing.config import SplitConfig
from sparse_probing.probes.splits.grouped_folds import grouped_folds
from sparse_probing.probes.splits.grouped_split import (
    Split,
    class_text,
    grouped_multiclass_split,
    grouped_split,
    grouped_stratified_split,
)


@dataclass(frozen=True)
class FeatureSplit:
    """A feature with one division of its rows."""

    feature: str
    kind: FeatureKind
    rows: FeatureRows
    fold: int
    """Number of the fold that is tested; 0 where there is one test set."""
    split: Split


def labelled_features(
    dataset: FeatureDataset,
    names: Iterable[str],
    rows: ProbedRows,
    aggregation: Aggregation,
    next_token: bool,
) -> tuple[dict[str, tuple[FeatureKind, FeatureRows]], dict[str, str]]:
    """Return kind and rows of features, and why others have none.

    Parameters
    ----------
    dataset : FeatureDataset
    names : iterable of str
        Features, or classes as ``<feature>=<class>``.
    rows : ProbedRows
        The rows of the layer.
    aggregation, next_token
        As in :func:`probing_datasets.feature_dataset.probed_rows.probed_rows`.
    """
    features: dict[str, tuple[FeatureKind, FeatureRows]] = {}
    failures: dict[str, str] = {}
    for name in names:
        try:
            whole, of_class = dataset.feature_and_class(name)
            labelled = feature_rows(dataset, whole, rows, aggregation, next_token)
            kind = dataset.description.features[whole].kind
            features[name] = (kind, labelled) if of_class is None else ("binary", one_vs_rest(whole, labelled)[name])
        except DatasetError as error:
            failures[name] = str(error)
    return features, failures


def split_features(
    features: Mapping[str, tuple[FeatureKind, FeatureRows]],
    kind: FeatureKind,
    config: SplitConfig,
    seed: int,
    takes_classes: bool = False,
) -> tuple[list[FeatureSplit], dict[str, str]]:
    """Split the rows of every feature: once, or once for every test fold; groups stay whole.

    Parameters
    ----------
    features : mapping
        Kind and rows of each feature.
    kind : {'binary', 'multiclass', 'regression'}
        The kind that the study takes. A multiclass feature becomes one binary feature per class for a
        study of binary features.
    config : SplitConfig
    seed : int
    takes_classes : bool
        Whether a study of binary features takes multiclass ones as they are.

    Returns
    -------
    splits : list of FeatureSplit
        Feature by feature, and fold by fold.
    failures : dict
        Why other features cannot be split, by feature.
    """
    splits: list[FeatureSplit] = []
    failures: dict[str, str] = {}
    for feature, (feature_kind, of_feature) in features.items():
        by_class = (feature_kind, kind) == ("multiclass", "binary") and not takes_classes
        own_kind = feature_kind if takes_classes else kind
        for name, rows in (one_vs_rest(feature, of_feature) if by_class else {feature: of_feature}).items():
            try:
                splits += split_rows(name, own_kind, rows, config, seed)
            except SplitError as error:
                failures[name] = str(error)
    return splits, failures


def split_rows(
    feature: str, kind: FeatureKind, rows: FeatureRows, config: SplitConfig, seed: int
) -> list[FeatureSplit]:
    """Return the splits of one feature: test folds, the split that the data set gives, or a random one.

    Raises
    ------
    SplitError
        When there are too few groups, of a class or in all, for the requested split, or a side of the given split
        misses a class.
    """
    if config.test_folds:
        classes = None if kind == "regression" else rows.label
        if kind == "binary":  # text for errors, in the order of the labels
            classes = np.where(rows.label > 0, "positive", "negative")
        splits = grouped_folds(
            classes, rows.group, config.test_folds, seed, rows.classes if kind == "multiclass" else ()
        )
    elif rows.in_test is not None:
        splits = [_given_split(rows.in_test, rows.label, kind, rows.classes)]
    elif kind == "regression":
        splits = [grouped_split(rows.group, config.test_set_frac, seed)]
    elif kind == "multiclass":
        splits = [grouped_multiclass_split(rows.label, rows.group, config.test_set_frac, seed, rows.classes)]
    else:
        splits = [grouped_stratified_split(rows.label, rows.group, config.test_set_frac, seed)]
    return [FeatureSplit(feature, kind, rows, fold, split) for fold, split in enumerate(splits)]


def _given_split(in_test: np.ndarray, label: np.ndarray, kind: FeatureKind, class_names: Sequence[str]) -> Split:
    for side, rows in (("training", ~in_test), ("test", in_test)):
        missing = set() if kind == "regression" else set(label.tolist()) - set(label[rows].tolist())
        if missing or not rows.any():
            raise SplitError(
                f"The split that the data set gives has no {side} rows"
                + (f" of label {class_text(np.float64(min(missing)), class_names)}" if missing else "")
                + ". Make it without --split_column, or pass --test_folds."
            )
    return Split(train=np.flatnonzero(~in_test), test=np.flatnonzero(in_test))


def one_vs_rest(feature: str, rows: FeatureRows) -> dict[str, FeatureRows]:
    """Return one binary feature ``<feature>=<class>`` for each class of a multiclass feature.

    The class is its name, or its number where classes have no names.
    """
    numbers = np.unique(rows.label)
    names = [class_text(c, rows.classes) for c in numbers]
    labels = [np.where(rows.label == c, 1.0, -1.0) for c in numbers]
    return {
        f"{feature}={name}": replace(rows, label=label, classes=()) for name, label in zip(names, labels, strict=True)
    }
