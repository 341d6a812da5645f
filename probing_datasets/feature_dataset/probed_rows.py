"""The rows that stage 1 stores for a data set, and which of them a feature uses."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from probing_datasets.feature_dataset import Aggregation, FeatureDataset
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
    """What a probe of one feature is fitted on."""

    row: np.ndarray
    """(m,) int64, index into the rows of the store, increasing."""
    label: np.ndarray
    """(m,) float64."""
    sequence: np.ndarray
    """(m,) int64, sequence of each row."""
    group: np.ndarray
    """(m,) int64, group of each row."""


def probed_rows(dataset: FeatureDataset, aggregation: Aggregation, next_token: bool = False) -> ProbedRows:
    """Return the distinct rows that the features of a data set need.

    Parameters
    ----------
    dataset : FeatureDataset
    aggregation : {'none', 'mean', 'max', 'last'}
    next_token : bool
        A label is probed at the position before it: what the model knows of the next token.
        Labels of the first position have none and are left out.

    Raises
    ------
    DatasetError
        When rows aggregate sequences but the label of a feature varies within one, or when no
        label has a position before it.
    """
    keys = [_labels_by_key(dataset, feature, aggregation, next_token)[0] for feature in dataset.features]
    n_labels = sum(len(dataset.feature_probes(feature).label) for feature in dataset.features)
    if next_token and (n_first := n_labels - sum(map(len, keys))):
        logger.warning("%s: %d labels of first positions are left out: no token is before them", dataset.name, n_first)
    if not sum(map(len, keys)):
        raise DatasetError(f"{dataset.name} has labels at first positions only, which no token is before.")
    return _from_keys(np.unique(np.concatenate(keys)), _stride(dataset), aggregation)


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
        Negative ones count from the end of the context; none given: all. Rows are in increasing
        order of position, whatever the order here.
    padding : bool
        Whether positions behind the end of a sequence have a row.

    Raises
    ------
    DatasetError
        When a position lies outside the context, or no row is left.
    """
    context = dataset.description.context_length
    wrong = [position for position in positions if not -context <= position < context]
    if wrong:
        raise DatasetError(
            f"{dataset.name} has positions {-context} to {context - 1}; there is no position {wrong[0]}."
        )
    chosen = np.unique(np.array(positions or range(context), np.int64) % context)
    sequence, position = np.repeat(np.arange(len(dataset.lengths)), len(chosen)), np.tile(chosen, len(dataset.lengths))
    kept = (position < dataset.lengths[sequence]) | padding
    if not kept.any():
        raise DatasetError(f"No sequence of {dataset.name} reaches position {chosen[0]}. Choose earlier --positions.")
    return ProbedRows(sequence[kept], position[kept])


def feature_rows(
    dataset: FeatureDataset, feature: str, rows: ProbedRows, aggregation: Aggregation, next_token: bool = False
) -> FeatureRows:
    """Return the rows, labels and groups of one feature; see `probed_rows` for the arguments.

    Raises
    ------
    DatasetError
        When rows aggregate sequences but the feature's label varies within one, when a
        needed row is not among ``rows``, or when no label has a position before it.
    """
    keys, label = _labels_by_key(dataset, feature, aggregation, next_token)
    if not len(keys):
        raise DatasetError(f"{feature!r} is labelled at first positions only, which no token is before.")
    stored = rows.sequence * _stride(dataset) + (rows.position if aggregation == "none" else 0)
    row = np.searchsorted(stored, keys)
    if (row >= len(stored)).any() or (stored[row] != keys).any():
        raise DatasetError(f"The store lacks rows of {feature!r}; harvest {dataset.name} again.")
    sequence = keys // _stride(dataset)
    return FeatureRows(row, label, sequence, dataset.group_codes[sequence])


def _labels_by_key(
    dataset: FeatureDataset, feature: str, aggregation: Aggregation, next_token: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Distinct keys of a feature, increasing, and the label of each."""
    probes = dataset.feature_probes(feature)
    position = probes.position - next_token if aggregation == "none" else np.zeros_like(probes.position)
    there = position >= 0
    label = probes.label[there]
    keys = probes.sequence[there] * _stride(dataset) + position[there]
    keys, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    if (label[first][inverse] != label).any():
        raise DatasetError(
            f"{dataset.name}: the label of {feature!r} varies within a sequence, so it cannot be probed with "
            f"--activation_aggregation {aggregation}. Use `none`."
        )
    return keys, label[first]


def _stride(dataset: FeatureDataset) -> int:
    return dataset.description.context_length + 1


def _from_keys(keys: np.ndarray, stride: int, aggregation: Aggregation) -> ProbedRows:
    position = keys % stride if aggregation == "none" else np.full_like(keys, WHOLE_SEQUENCE)
    return ProbedRows(keys // stride, position)
