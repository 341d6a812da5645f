"""Choose the rows of every feature among labelled candidate positions, and build the data set.

The rules are the paper's: a number of rows with a fraction of positives, a minimum of positives, and one
random priority of positions for all features of a collection, so that the rows they choose overlap and
fewer activations are stored (Gurnee et al. 2023, appendix). Unlike the paper, the negatives are also reduced
if positives are scarce, so that the fraction holds.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from probing_datasets.building.candidate_positions import Candidates
from probing_datasets.building.row_sampling import first_evenly, positive_share, sample_feature, second_groups_first
from probing_datasets.building.sequences import LabelledSequences, describe_sequences
from probing_datasets.feature_dataset import FeatureDataset, FeatureKind, Probes, build_feature_dataset
from probing_datasets.foundation.errors import DatasetError
from probing_datasets.make_config import MakeConfig
from probing_datasets.sources.groups import first_copies, join_groups_of_copies

MIN_GROUPS = 2
"""A class in a single group cannot be in both training and test rows."""


@dataclass(frozen=True)
class Labels:
    """Labels of one feature at n candidate positions."""

    kind: FeatureKind
    values: np.ndarray
    """(n,): bool when binary, class numbers from 0 when multiclass, real numbers in regression."""
    applies: np.ndarray | None = None
    """(n,) bool: False if the position has no label of this feature. None: every position has one."""
    classes: tuple[str, ...] = ()
    """Names of the classes when multiclass."""


def assemble(
    config: MakeConfig,
    sequences: LabelledSequences,
    candidates: Candidates,
    features: Iterable[tuple[str, Labels]],
    balanced: bool = True,
    join_copies: bool = False,
) -> FeatureDataset:
    """Choose the rows of every feature and build the data set.

    Parameters
    ----------
    config : MakeConfig
    sequences : LabelledSequences
    candidates : Candidates
    features : iterable of (str, Labels)
        Name and labels of each feature; the labels of one feature are held at a time.
    balanced : bool
        Choose ``rows_per_feature`` rows with ``positive_fraction`` positives (classes evenly), by one random
        priority of positions that all features share. False: choose every candidate.
    join_copies : bool
        Join groups that share a sequence with the same tokens: for labels of whole texts. Many short contexts of
        running text repeat, and would make all documents one group: False only counts them in a note.

    Raises
    ------
    DatasetError
        When no feature has enough positives and negatives, each in two groups.
    """
    joined_groups, n_copies = join_groups_of_copies(sequences.tokens, sequences.groups)
    if join_copies:
        sequences = replace(sequences, groups=joined_groups)
    groups = np.unique(np.array(sequences.groups), return_inverse=True)[1][candidates.sequence]
    priority = np.random.default_rng(config.seed).permutation(len(candidates)) if balanced else None
    probes: dict[str, tuple[FeatureKind, Probes]] = {}
    classes: dict[str, tuple[str, ...]] = {}
    notes: list[str] = []
    if n_copies:
        result = "these groups were joined" if join_copies else "they may be in training and test rows both"
        notes.append(f"{n_copies:,} sequences have the tokens of one in another group: {result}.")
    first = first_copies(sequences.tokens) if join_copies else None
    for name, labels in features:
        if first is not None and (n_contradictory := _contradictory_copies(labels, candidates.sequence, first)):
            notes.append(f"{name}: {n_contradictory:,} sequences have the tokens of an earlier one with another label.")
        common_labels, note = _drop_rare_classes(labels, groups, config.min_positives)
        if note:
            notes.append(f"{name} {note}")
        if common_labels is not None:
            rows = _choose_rows(config, common_labels, groups, priority)
            values = common_labels.values[rows]
            if labels.kind == "binary":
                values = np.where(values, 1.0, -1.0)
            selected = candidates.select(rows)
            probes[name] = (labels.kind, Probes(selected.sequence, selected.position, values.astype(np.float64)))
            classes[name] = common_labels.classes
    if not probes:
        raise DatasetError(f"No feature is left. {' '.join([*sequences.dropped, *notes])} Use more text.")
    description = describe_sequences(config, replace(sequences, dropped=sequences.dropped + tuple(notes)))
    return build_feature_dataset(description, sequences.tokens, sequences.groups, probes, classes)


def _contradictory_copies(labels: Labels, sequence: np.ndarray, first: np.ndarray) -> int:
    """Return how many sequences have another class than the first one with the same tokens; labels are of texts."""
    if labels.kind == "regression":
        return 0
    applies = np.ones(len(sequence), bool) if labels.applies is None else labels.applies
    label_of = np.full(len(first), np.nan)
    label_of[sequence[applies]] = labels.values[applies]
    return int(np.sum((label_of != label_of[first]) & ~np.isnan(label_of) & ~np.isnan(label_of[first])))


def _choose_rows(config: MakeConfig, labels: Labels, groups: np.ndarray, priority: np.ndarray | None) -> np.ndarray:
    """Return the candidates that become rows, increasing.

    Where a class has candidates in two groups but would have rows of only one, which no split could divide,
    a candidate of another group is chosen first.
    """
    if priority is None:
        return np.arange(len(labels.values)) if labels.applies is None else np.flatnonzero(labels.applies)
    if labels.applies is not None:
        priority = priority[labels.applies[priority]]
    # A regression has no classes: all of its rows are of one.
    values = np.zeros(len(labels.values)) if labels.kind == "regression" else labels.values.astype(np.int64)
    rows = _sample(config, labels, priority)
    if any(len(np.unique(groups[rows[values[rows] == value]])) < MIN_GROUPS for value in np.unique(values[priority])):
        rows = _sample(config, labels, second_groups_first(values, groups, priority))
    return rows


def _sample(config: MakeConfig, labels: Labels, priority: np.ndarray) -> np.ndarray:
    """Return the rows of a feature by one priority, increasing."""
    if labels.kind == "binary":
        share = positive_share(labels.values[priority].mean(), config.positive_fraction)
        return sample_feature(labels.values, priority, config.rows_per_feature, share)[0]
    if labels.kind == "multiclass":
        return first_evenly(labels.values, priority, config.rows_per_feature)
    return np.sort(priority[: config.rows_per_feature])


def _drop_rare_classes(labels: Labels, groups: np.ndarray, min_positives: int) -> tuple[Labels | None, str]:
    """Drop classes, or a whole feature, that are too rare to be probed.

    Returns
    -------
    labels : Labels or None
        None when the feature is dropped.
    note : str
        What was dropped and why; empty when nothing was.
    """
    applies = slice(None) if labels.applies is None else labels.applies
    if labels.kind == "regression":
        n_distinct = len(np.unique(groups[applies]))
        if n_distinct < MIN_GROUPS:
            return None, f"was dropped: its rows are in {n_distinct} groups."
        return labels, ""

    # Rows and groups of each class, at least two classes.
    codes, group_codes = labels.values[applies].astype(np.int64), groups[applies]
    n_codes, n_group_codes = max(int(codes.max(initial=0)) + 1, 2), int(group_codes.max(initial=0)) + 1
    table = np.bincount(codes * n_group_codes + group_codes, minlength=n_codes * n_group_codes)
    table = table.reshape(n_codes, n_group_codes)
    n_rows, n_groups = table.sum(axis=1), (table > 0).sum(axis=1)
    is_common = (n_rows >= min_positives) & (n_groups >= MIN_GROUPS)

    if labels.kind == "multiclass":
        return _renumber_classes(labels, is_common, n_rows, min_positives)
    if is_common.all():
        return labels, ""
    if min(n_rows) < min_positives:
        return None, f"was dropped: {n_rows[1]} positives and {n_rows[0]} negatives (--min_positives {min_positives})."
    return None, f"was dropped: its positives are in {n_groups[1]} groups, its negatives in {n_groups[0]}."


def _renumber_classes(
    labels: Labels, is_common: np.ndarray, n_rows: np.ndarray, min_positives: int
) -> tuple[Labels | None, str]:
    """Return the labels of the common classes of a multiclass feature, numbered from 0, and a note."""
    names = labels.classes or tuple(map(str, range(len(is_common))))
    rare = [names[i] for i in np.flatnonzero(~is_common & (n_rows > 0))]
    note = f"lost classes that are rare (--min_positives {min_positives}): {', '.join(rare)}." if rare else ""
    common = np.flatnonzero(is_common)
    if len(common) < 2:
        return None, f"was dropped: it has {len(common)} classes that are not rare (--min_positives)."
    applies = np.ones(len(labels.values), bool) if labels.applies is None else labels.applies
    applies = applies & np.isin(labels.values, common)
    numbers = np.zeros(len(is_common), np.int64)
    numbers[common] = np.arange(len(common))
    values = np.where(applies, numbers[np.where(applies, labels.values, 0)], 0)
    return Labels("multiclass", values, applies, tuple(names[i] for i in common)), note
