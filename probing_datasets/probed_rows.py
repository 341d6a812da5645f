"""The rows that stage 1 stores for a data set, and which of them a feature uses."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from probing_datasets.feature_dataset import Aggregation, FeatureDataset
from probing_datasets.foundation.errors import DatasetError

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


def probed_rows(dataset: FeatureDataset, aggregation: Aggregation) -> ProbedRows:
    """Return the distinct rows that the features of a data set need.

    Raises
    ------
    DatasetError
        When rows aggregate sequences but the label of a feature varies within one.
    """
    for feature in dataset.features:
        _labels_by_key(dataset, feature, aggregation)
    keys = [_keys(dataset, f, aggregation) for f in dataset.features]
    return _from_keys(np.unique(np.concatenate(keys)), _stride(dataset), aggregation)


def feature_rows(dataset: FeatureDataset, feature: str, rows: ProbedRows, aggregation: Aggregation) -> FeatureRows:
    """Return the rows, labels and groups of one feature.

    Raises
    ------
    DatasetError
        When rows aggregate sequences but the feature's label varies within one, or when a
        needed row is not among ``rows``.
    """
    keys, label = _labels_by_key(dataset, feature, aggregation)
    stored = rows.sequence * _stride(dataset) + (rows.position if aggregation == "none" else 0)
    row = np.searchsorted(stored, keys)
    if (row >= len(stored)).any() or (stored[row] != keys).any():
        raise DatasetError(f"The store lacks rows of {feature!r}; harvest {dataset.name} again.")
    sequence = keys // _stride(dataset)
    return FeatureRows(row, label, sequence, dataset.group_codes[sequence])


def _labels_by_key(dataset: FeatureDataset, feature: str, aggregation: Aggregation) -> tuple[np.ndarray, np.ndarray]:
    """Distinct keys of a feature, increasing, and the label of each."""
    probes = dataset.feature_probes(feature)
    keys, first, inverse = np.unique(_keys(dataset, feature, aggregation), return_index=True, return_inverse=True)
    label = probes.label[first]
    if (label[inverse] != probes.label).any():
        raise DatasetError(
            f"{dataset.name}: the label of {feature!r} varies within a sequence, so it cannot be probed with "
            f"--activation_aggregation {aggregation}. Use `none`."
        )
    return keys, label


def _stride(dataset: FeatureDataset) -> int:
    return dataset.description.context_length + 1


def _keys(dataset: FeatureDataset, feature: str, aggregation: Aggregation) -> np.ndarray:
    probes = dataset.feature_probes(feature)
    position = probes.position if aggregation == "none" else 0
    return probes.sequence * _stride(dataset) + position


def _from_keys(keys: np.ndarray, stride: int, aggregation: Aggregation) -> ProbedRows:
    position = keys % stride if aggregation == "none" else np.full_like(keys, WHOLE_SEQUENCE)
    return ProbedRows(keys // stride, position)
