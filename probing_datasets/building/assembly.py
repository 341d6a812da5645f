"""From labels of candidate positions to a data set: the rows of every feature are chosen.

The rules are the paper's: a number of rows with a fraction of positives, a minimum of positives, and one
random priority of positions for all features of a collection, so that the rows they choose overlap and
fewer activations are stored (Gurnee et al. 2023, appendix). Where positives are scarce the negatives are
cut so that the fraction holds, which the paper does not.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from probing_datasets.building.candidate_positions import Candidates
from probing_datasets.building.row_sampling import first_evenly, positive_share, sample_feature
from probing_datasets.building.sequences import LabelledSequences, describe_sequences, is_copy
from probing_datasets.feature_dataset import FeatureDataset, FeatureKind, Probes, build_feature_dataset
from probing_datasets.foundation.errors import DatasetError
from probing_datasets.make_config import MakeConfig

MIN_GROUPS = 2
"""What occurs in a single group cannot be in training and test rows both."""


@dataclass(frozen=True)
class Labels:
    """What one feature says of n candidates."""

    kind: FeatureKind
    values: np.ndarray
    """(n,): bool when binary, class numbers from 0 when multiclass, real numbers in regression."""
    applies: np.ndarray | None = None
    """(n,) bool: False where the feature says nothing of the position. None: it applies everywhere."""
    classes: tuple[str, ...] = ()
    """Names of the classes when multiclass."""


def assemble(
    config: MakeConfig,
    sequences: LabelledSequences,
    candidates: Candidates,
    features: Iterable[tuple[str, Labels]],
    balanced: bool = True,
) -> FeatureDataset:
    """Choose the rows of every feature and build the data set.

    Parameters
    ----------
    config : MakeConfig
        Settings.
    sequences : LabelledSequences
    candidates : Candidates
    features : iterable of (str, Labels)
        Name and labels of each feature, asked for one after the other.
    balanced : bool
        Choose ``rows_per_feature`` rows with ``positive_fraction`` positives (classes evenly), by one random
        priority of positions that all features share. False: choose every candidate.

    Raises
    ------
    DatasetError
        When no feature has enough positives and negatives, in two groups each.
    """
    groups = np.unique(np.array(sequences.groups), return_inverse=True)[1][candidates.sequence]
    priority = np.random.default_rng(config.seed).permutation(len(candidates)) if balanced else None
    probes: dict[str, tuple[FeatureKind, Probes]] = {}
    classes: dict[str, tuple[str, ...]] = {}
    notes = _copies(sequences)
    for name, labels in features:
        common, note = _without_rare_classes(config, labels, groups)
        notes += [f"{name} {note}"] if note else []
        if common is not None:
            rows = _choose(config, common, priority)
            values = 2.0 * common.values[rows] - 1 if common.kind == "binary" else common.values[rows]
            selected = candidates.select(rows)
            probes[name] = (common.kind, Probes(selected.sequence, selected.position, values.astype(np.float64)))
            classes[name] = common.classes
    if not probes:
        raise DatasetError(f"No feature is left. {' '.join([*sequences.dropped, *notes])} Use more text.")
    description = describe_sequences(config, replace(sequences, dropped=sequences.dropped + tuple(notes)))
    return build_feature_dataset(description, sequences.tokens, sequences.groups, probes, classes)


def _copies(sequences: LabelledSequences) -> list[str]:
    """Say how many sequences no split by groups can keep apart from a copy."""
    n_copies = int(is_copy(sequences.tokens, sequences.groups).sum())
    note = f"{n_copies:,} sequences are copies of one in another group: they may be in training and test rows both."
    return [note] if n_copies else []


def _choose(config: MakeConfig, labels: Labels, priority: np.ndarray | None) -> np.ndarray:
    """Return the candidates that become rows, increasing."""
    if priority is None:
        return np.arange(len(labels.values)) if labels.applies is None else np.flatnonzero(labels.applies)
    if labels.applies is not None:
        priority = priority[labels.applies[priority]]
    if labels.kind == "binary":
        share = positive_share(labels.values[priority].mean(), config.positive_fraction)
        return sample_feature(labels.values, priority, config.rows_per_feature, share)[0]
    if labels.kind == "multiclass":
        return first_evenly(labels.values, priority, config.rows_per_feature)
    return np.sort(priority[: config.rows_per_feature])


def _without_rare_classes(config: MakeConfig, labels: Labels, groups: np.ndarray) -> tuple[Labels | None, str]:
    """Leave out what is too rare to be probed: return the labels, None when nothing is left, and a note."""
    applies = slice(None) if labels.applies is None else labels.applies
    if labels.kind == "regression":
        n_groups = len(np.unique(groups[applies]))
        enough = n_groups >= MIN_GROUPS
        return (labels, "") if enough else (None, f"was left out: its rows are in {n_groups} groups.")
    n_rows, n_groups = _sizes_of_classes(labels.values[applies], groups[applies])
    common = (n_rows >= config.min_positives) & (n_groups >= MIN_GROUPS)
    if labels.kind == "binary":
        return (labels, "") if common.all() else (None, _why_rare(config, n_rows, n_groups))
    return _renumber(config, labels, common, n_rows)


def _sizes_of_classes(values: np.ndarray, groups: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return for each class (at least two) its number of rows and of groups."""
    codes, n_groups = values.astype(np.int64), int(groups.max(initial=0)) + 1
    n_classes = max(int(codes.max(initial=0)) + 1, 2)
    table = np.bincount(codes * n_groups + groups, minlength=n_classes * n_groups).reshape(n_classes, n_groups)
    return table.sum(axis=1), (table > 0).sum(axis=1)


def _why_rare(config: MakeConfig, n_rows: np.ndarray, n_groups: np.ndarray) -> str:
    if min(n_rows) < config.min_positives:
        return (
            f"was left out: {n_rows[1]} positives and {n_rows[0]} negatives (--min_positives {config.min_positives})."
        )
    return f"was left out: its positives are in {n_groups[1]} groups, its negatives in {n_groups[0]}."


def _renumber(config: MakeConfig, labels: Labels, common: np.ndarray, n_rows: np.ndarray) -> tuple[Labels | None, str]:
    """Keep the common classes of a multiclass feature, numbered from 0."""
    names = labels.classes or tuple(map(str, range(len(common))))
    rare = [names[i] for i in np.flatnonzero(~common & (n_rows > 0))]
    note = f"lost classes that are rare (--min_positives {config.min_positives}): {', '.join(rare)}." if rare else ""
    kept = np.flatnonzero(common)
    if len(kept) < 2:
        return None, f"was left out: it has {len(kept)} classes that are not rare (--min_positives)."
    applies = np.ones(len(labels.values), bool) if labels.applies is None else labels.applies
    applies = applies & np.isin(labels.values, kept)
    numbers = np.zeros(len(common), np.int64)
    numbers[kept] = np.arange(len(kept))
    values = np.where(applies, numbers[np.where(applies, labels.values, 0)], 0)
    return Labels("multiclass", values, applies, tuple(names[i] for i in kept)), note
