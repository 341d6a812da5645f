"""Group sequences into batches, and map their activations to rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch

from probing_datasets.feature_dataset import FeatureDataset
from probing_datasets.feature_dataset.probed_rows import ProbedRows, token_rows
from probing_datasets.feature_dataset.spans import pooled_span

NO_SEQUENCE = -1
"""Used as the sequence of a row of padding."""


@dataclass(frozen=True)
class Batch:
    """Sequences of one forward pass."""

    tokens: torch.Tensor
    """(batch, length) int64, padded on the right."""
    mask: torch.Tensor
    """(batch, length) int64: 1 where there is a token."""
    poolable: torch.Tensor
    """(batch, length) bool: tokens that are neither padding nor special."""
    pooled: torch.Tensor
    """(batch, length) bool: the poolable tokens that are aggregated; all of them where the data set has no spans."""
    members: np.ndarray
    """(batch,) int64: number of each sequence in the data set."""
    row: np.ndarray
    """(m,) int64: the rows within the part that this batch fills."""
    sequence: torch.Tensor
    """(m,) int64: index into the batch of each row."""
    position: torch.Tensor
    """(m,) int64: position of each row (-1 when aggregated)."""

    @cached_property
    def pooled_weights(self) -> torch.Tensor:
        """(batch, 1, length) float32: 1 where a token is aggregated. The hooks of a batch share it."""
        return self.pooled[:, None].to(torch.float32)

    def to(self, device: torch.device) -> Batch:
        """Return the batch with its tensors on a device."""
        names = ("tokens", "mask", "poolable", "pooled", "sequence", "position")
        return replace(self, **{name: getattr(self, name).to(device, non_blocking=True) for name in names})

    def split(self, size: int) -> list[Batch]:
        """Return batches of at most ``size`` sequences, each with its own rows."""
        pieces = []
        for start in range(0, len(self.tokens), size):
            stop = start + size
            length = int(self.mask[start:stop].sum(1).max())
            rows = (self.sequence >= start) & (self.sequence < stop)
            piece = Batch(
                tokens=self.tokens[start:stop, :length],
                mask=self.mask[start:stop, :length],
                poolable=self.poolable[start:stop, :length],
                pooled=self.pooled[start:stop, :length],
                members=self.members[start:stop],
                row=self.row[rows.numpy()],
                sequence=self.sequence[rows] - start,
                position=self.position[rows],
            )
            pieces.append(piece)
        return pieces


def part_batches(dataset: FeatureDataset, rows: ProbedRows, start: int, stop: int, batch_size: int) -> Iterator[Batch]:
    """Yield the batches that fill rows ``start`` to ``stop``; no batch fills rows after the end of a sequence.

    Sequences are sorted by length, so that little padding is computed. The order depends only on
    the part: a part that is harvested again gets the same bytes.

    Parameters
    ----------
    dataset : FeatureDataset
    rows : ProbedRows
        The rows of the store.
    start, stop : int
        First row of the part, and the row after its last.
    batch_size : int
        Sequences of one batch.
    """
    sequence, position = rows.sequence[start:stop], rows.position[start:stop]
    sequence = np.where(position < dataset.lengths[sequence], sequence, NO_SEQUENCE)
    distinct = np.setdiff1d(sequence, [NO_SEQUENCE])
    order = distinct[np.argsort(-dataset.lengths[distinct], kind="stable")]
    for first in range(0, len(order), batch_size):
        members = order[first : first + batch_size]
        yield _make_batch(dataset, members, sequence, position)


def sequence_batches(dataset: FeatureDataset, sequences: np.ndarray, batch_size: int) -> Iterator[Batch]:
    """Yield batches of whole sequences, with a row for each of their tokens, special tokens included.

    Parameters
    ----------
    dataset : FeatureDataset
    sequences : (n,) int64
        Increasing.
    batch_size : int
        Sequences of one batch.
    """
    rows = token_rows(dataset, sequences)
    return part_batches(dataset, rows, 0, len(rows), batch_size)


def _make_batch(dataset: FeatureDataset, members: np.ndarray, sequence: np.ndarray, position: np.ndarray) -> Batch:
    lengths = dataset.lengths[members]
    tokens = np.zeros((len(members), int(lengths.max())), dtype=np.int64)
    for target, ids in zip(tokens, dataset.tokens(members), strict=True):
        target[: len(ids)] = ids
    columns = np.arange(tokens.shape[1])
    stop = lengths - dataset.description.n_suffix
    poolable = (columns >= dataset.description.n_prefix) & (columns < stop[:, None])
    first, end = pooled_span(dataset, members).T
    # The rows that belong to members, increasing, and the index of the member of each.
    sorter = np.argsort(members)
    place = np.minimum(np.searchsorted(members, sequence, sorter=sorter), len(members) - 1)
    row = np.flatnonzero(members[sorter[place]] == sequence)
    member_of_row = sorter[place[row]]
    return Batch(
        tokens=torch.from_numpy(tokens),
        mask=torch.from_numpy((columns < lengths[:, None]).astype(np.int64)),
        poolable=torch.from_numpy(poolable),
        pooled=torch.from_numpy((columns >= first[:, None]) & (columns < end[:, None])),
        members=members,
        row=row,
        sequence=torch.from_numpy(member_of_row),
        position=torch.from_numpy(position[row]),
    )
