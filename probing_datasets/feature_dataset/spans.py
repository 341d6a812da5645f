"""Named spans of tokens in the sequences of a data set: the subject of a statement, the name that is pooled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from probing_datasets.feature_dataset.content_hash import content_hash
from probing_datasets.feature_dataset.dataset import FeatureDataset

POOLED = "pooled"
"""Name of the span over which activations of a sequence are aggregated, if that is not its whole text."""


def with_spans(dataset: FeatureDataset, spans: Mapping[str, np.ndarray]) -> FeatureDataset:
    """Return the data set with spans as further columns of its sequences, ``<name>_start`` and ``<name>_stop``.

    Parameters
    ----------
    dataset : FeatureDataset
    spans : mapping of str to (n_sequences, 2) int
        First position, and one past the last, in each sequence, special tokens counted. The two are
        equal in a sequence without the span.
    """
    import datasets  # slow to import
    import pyarrow as pa

    table = dataset.sequences.data.table
    for name, span in spans.items():
        for end, positions in zip(("start", "stop"), span.T, strict=True):
            table = table.append_column(f"{name}_{end}", pa.array(positions, pa.int32()))
    digest = content_hash(dataset.description, table, dataset.probes.data.table)
    description = replace(dataset.description, content_hash=digest)
    return replace(dataset, description=description, sequences=datasets.Dataset(table, fingerprint=digest[:16]))


def read_span(dataset: FeatureDataset, name: str, sequences: np.ndarray) -> np.ndarray:
    """Return a span of the given sequences: (n, 2) int64."""
    import pyarrow as pa  # slow to import

    columns = [dataset.sequences.data.column(f"{name}_{end}").take(pa.array(sequences)) for end in ("start", "stop")]
    return np.stack([column.to_numpy() for column in columns], axis=1).astype(np.int64)


def pooled_span(dataset: FeatureDataset, sequences: np.ndarray) -> np.ndarray:
    """Return the aggregated span of sequences, (n, 2) int64; by default all tokens except special ones."""
    if f"{POOLED}_start" in dataset.sequences.column_names:
        return read_span(dataset, POOLED, sequences)
    stop = dataset.lengths[sequences] - dataset.description.n_suffix
    return np.stack([np.full_like(stop, dataset.description.n_prefix), stop], axis=1)


def spans_of_marks(marks: list[np.ndarray]) -> np.ndarray:
    """Return the span from the first to the last True of each array of marks: (n, 2) int64, zeros if none is True."""
    places = [np.flatnonzero(mark) for mark in marks]
    return np.array([(p[0], p[-1] + 1) if len(p) else (0, 0) for p in places], np.int64).reshape(-1, 2)
