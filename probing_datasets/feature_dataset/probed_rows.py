"""The rows that stage 1 stores for a data set, and which of them a feature uses."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from probing_datasets.feature_dataset.dataset import FeatureDataset
from probing_datasets.feature_dataset.description import Aggregation
from probing_datasets.feature_dataset.given_splits import in_given_test
from probing_datasets.foundation.errors import DatasetError

logger = logging.getLogger(__name__)

WHOLE_SEQUENCE = -1
"""Position of a row that aggregates a whole sequence."""


@dataclass(frozen=True)
class ProbedRows:
    """One row per probed position, or per sequence when aggregated, ordered by sequence and position."""

    sequence: np.ndarray
    """(n_rows,) int64."""
    position: np.ndarray
    """(n_rows,) int64; -1 when aggregated."""

    def __len__(self) -> int:
        return len(self.sequence)


@dataclass(frozen=True)
class FeatureRows:
    """Rows, labels and groups of one feature: what a probe is fitted to."""

    row: np.ndarray
    """(m,) int64, index into the rows of the store, increasing."""
    label: np.ndarray
    """(m,) float64."""
    sequence: np.ndarray
    """(m,) int64, sequence of each row."""
    group: np.ndarray
    """(m,) int64, group of each row."""
    classes: tuple[str, ...] = ()
    """Names of the classes of a multiclass feature, if they have names: class 0 first."""
    in_test: np.ndarray | None = None
    """(m,) bool: the test rows of a split that the data set gives; None without one."""


def probed_rows(dataset: FeatureDataset, aggregation: Aggregation, next_token: bool = False) -> ProbedRows:
    """Return the distinct rows that the features of a data set need.

    Parameters
    ----------
    dataset : FeatureDataset
    aggregation : {'none', 'mean', 'max', 'last'}
    next_token : bool
        Probe a label at the position before it: what the model knows of the next token.
        Labels of a first position are dropped, because no token precedes them.

    Raises
    ------
    DatasetError
        When rows aggregate sequences but the label of a feature varies within one, or when all
        labels are at first positions.
    """
    keys = [_labels_by_key(dataset, feature, aggregation, next_token)[0] for feature in dataset.features]
    n_labels = sum(len(dataset.feature_probes(feature).label) for feature in dataset.features)
    n_probed = sum(map(len, keys))
    if next_token and n_probed < n_labels:
        logger.warning(
            "%s: %d labels of first positions are not used: no token precedes them", dataset.name, n_labels - n_probed
        )
    if not n_probed:
        raise DatasetError(f"All labels of {dataset.name} are at first positions, which no token precedes.")
    sequence, position = np.divmod(np.unique(np.concatenate(keys)), _keys_per_sequence(dataset))
    return ProbedRows(sequence, position if aggregation == "none" else np.full_like(position, WHOLE_SEQUENCE))


def token_rows(dataset: FeatureDataset, sequences: np.ndarray) -> ProbedRows:
    """Return a row for every token of the given sequences (increasing), special tokens included."""
    lengths = dataset.lengths[sequences]
    first = np.repeat(np.cumsum(lengths) - lengths, lengths)
    return ProbedRows(np.repeat(sequences, lengths), np.arange(len(first)) - first)


def sequence_rows(dataset: FeatureDataset) -> ProbedRows:
    """Return one row for every sequence."""
    sequence = np.arange(len(dataset.lengths))
    return ProbedRows(sequence, np.full_like(sequence, WHOLE_SEQUENCE))


def grid_rows(dataset: FeatureDataset, positions: Sequence[int] = (), padding: bool = True) -> ProbedRows:
    """Return one row for every sequence and position.

    Parameters
    ----------
    dataset : FeatureDataset
    positions : sequence of int
        Negative ones count from the end of the context; by default all. Rows are in increasing
        order of position, whatever the order of this argument.
    padding : bool
        Whether positions after the end of a sequence have a row.

    Raises
    ------
    DatasetError
        When a position is outside the context, or no sequence reaches one of the positions.
    """
    context = dataset.description.context_length
    outside = [position for position in positions if not -context <= position < context]
    if outside:
        raise DatasetError(
            f"{dataset.name} has positions {-context} to {context - 1}; there is no position {outside[0]}."
        )
    columns = np.unique(np.array(positions or range(context), np.int64) % context)
    n_sequences = len(dataset.lengths)
    sequence, position = np.repeat(np.arange(n_sequences), len(columns)), np.tile(columns, n_sequences)
    has_row = (position < dataset.lengths[sequence]) | padding
    if not has_row.any():
        raise DatasetError(f"No sequence of {dataset.name} reaches position {columns[0]}. Choose earlier --positions.")
    return ProbedRows(sequence[has_row], position[has_row])


def feature_rows(
    dataset: FeatureDataset, feature: str, rows: ProbedRows, aggregation: Aggregation, next_token: bool = False
) -> FeatureRows:
    """Return the rows, labels and groups of one feature; see `probed_rows` for the arguments.

    Raises
    ------
    DatasetError
        When rows aggregate sequences but the feature's label varies within one, when a
        needed row is not among ``rows``, or when all labels are at first positions.
    """
    keys, label = _labels_by_key(dataset, feature, aggregation, next_token)
    if not len(keys):
        raise DatasetError(f"All labels of {feature!r} are at first positions, which no token precedes.")
    stored_keys = rows.sequence * _keys_per_sequence(dataset) + (rows.position if aggregation == "none" else 0)
    row = np.searchsorted(stored_keys, keys)
    if (row >= len(stored_keys)).any() or (stored_keys[row] != keys).any():
        raise DatasetError(f"Rows of {feature!r} are missing from the store. Harvest {dataset.name} again.")
    sequence = keys // _keys_per_sequence(dataset)
    classes = dataset.description.features[feature].classes
    return FeatureRows(row, label, sequence, dataset.group_codes[sequence], classes, in_given_test(dataset, sequence))


def _labels_by_key(
    dataset: FeatureDataset, feature: str, aggregation: Aggregation, next_token: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Return the distinct keys of a feature, increasing, and the label of each; a key is a sequence and a position."""
    probes = dataset.feature_probes(feature)
    position = probes.position - next_token if aggregation == "none" else np.zeros_like(probes.position)
    has_position = position >= 0
    labels = probes.label[has_position]
    keys = probes.sequence[has_position] * _keys_per_sequence(dataset) + position[has_position]
    keys, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    if (labels[first][inverse] != labels).any():
        raise DatasetError(
            f"{dataset.name}: the label of {feature!r} varies within a sequence, so it cannot be probed with "
            f"--activation_aggregation {aggregation}. Use `none`."
        )
    return keys, labels[first]


def _keys_per_sequence(dataset: FeatureDataset) -> int:
    return dataset.description.context_length + 1
