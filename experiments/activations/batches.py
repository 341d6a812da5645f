"""Which sequences are run together, and which of their activations become which rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from probing_datasets.feature_dataset import FeatureDataset
from probing_datasets.probed_rows import ProbedRows


@dataclass(frozen=True)
class Batch:
    """Sequences of one forward pass."""

    tokens: torch.Tensor
    """(batch, length) int64, padded on the right."""
    mask: torch.Tensor
    """(batch, length) int64: 1 where there is a token."""
    poolable: torch.Tensor
    """(batch, length) bool: tokens that are neither padding nor special."""
    row: np.ndarray
    """(m,) int64: rows within the part that this batch fills."""
    sequence: torch.Tensor
    """(m,) int64: index into the batch of each row."""
    position: torch.Tensor
    """(m,) int64: position of each row (-1 when aggregated)."""


def part_batches(dataset: FeatureDataset, rows: ProbedRows, start: int, stop: int, batch_size: int) -> Iterator[Batch]:
    """Yield the batches that fill rows ``start`` to ``stop``.

    Sequences are sorted by length, so that little padding is computed. The order depends on
    the part alone: a part that is harvested again gets the same bytes.
    """
    sequence, position = rows.sequence[start:stop], rows.position[start:stop]
    distinct = np.unique(sequence)
    order = distinct[np.argsort(-dataset.lengths[distinct], kind="stable")]
    for first in range(0, len(order), batch_size):
        members = order[first : first + batch_size]
        yield _make_batch(dataset, members, sequence, position)


def _make_batch(dataset: FeatureDataset, members: np.ndarray, sequence: np.ndarray, position: np.ndarray) -> Batch:
    lengths = dataset.lengths[members]
    tokens = np.zeros((len(members), int(lengths.max())), dtype=np.int64)
    for target, ids in zip(tokens, dataset.tokens(members), strict=True):
        target[: len(ids)] = ids
    columns = np.arange(tokens.shape[1])
    stop = lengths - dataset.description.n_suffix
    poolable = (columns >= dataset.description.n_prefix) & (columns < stop[:, None])
    row, of_member = _rows_of(members, sequence)
    return Batch(
        tokens=torch.from_numpy(tokens),
        mask=torch.from_numpy((columns < lengths[:, None]).astype(np.int64)),
        poolable=torch.from_numpy(poolable),
        row=row,
        sequence=torch.from_numpy(of_member),
        position=torch.from_numpy(position[row]),
    )


def _rows_of(members: np.ndarray, sequence: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows (increasing) that belong to the members, and the member of each."""
    sorter = np.argsort(members)
    at = np.minimum(np.searchsorted(members, sequence, sorter=sorter), len(members) - 1)
    row = np.flatnonzero(members[sorter[at]] == sequence)
    return row, sorter[at[row]]
