"""One pass over texts: batches of similar length run up to the last place, and their rows come out, pooled."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from probing_datasets.feature_dataset import FeatureDataset
from probing_datasets.feature_dataset.probed_rows import ProbedRows
from probing_datasets.foundation.errors import ActivationError
from sparse_probing.activations.harvesting.compute_parts import select_rows
from sparse_probing.activations.model_pass.batches import Batch, part_batches
from sparse_probing.activations.model_pass.forward_pass import forward_at
from sparse_probing.activations.model_pass.pooling import pool
from sparse_probing.config.online import PoolingName
from sparse_probing.online.places import Location, Place
from sparse_probing.online.prepare import PreparedOnline

BLOCK_SEQUENCES = 1024
"""Texts of a block. They are sorted by length within it, and the rows of whole blocks are saved."""

BatchRows = dict[Place, tuple[NDArray, torch.Tensor]]
"""For every place the numbers of the rows that a batch fills (m,), and the rows (m, width); with attention pooling the
tokens of each text (m, length, width), and NaN behind them."""


def blocks_of(sequences: NDArray) -> list[NDArray]:
    """Return sequences in blocks: the unit of saved work, and of the shares of several processes."""
    return [sequences[start : start + BLOCK_SEQUENCES] for start in range(0, len(sequences), BLOCK_SEQUENCES)]


def batches_of(dataset: FeatureDataset, rows: ProbedRows, sequences: NDArray, batch_size: int) -> Iterator[Batch]:
    """Yield the batches of some sequences, sorted by length; their rows are numbered as those of a pooling."""
    numbers = np.flatnonzero(np.isin(rows.sequence, sequences))
    own = ProbedRows(rows.sequence[numbers], rows.position[numbers])
    for batch in part_batches(dataset, own, 0, len(own), batch_size):
        yield replace(batch, row=numbers[batch.row])


def text_batches(prepared: PreparedOnline, sequences: NDArray) -> Iterator[Batch]:
    """Yield the batches of some sequences, with rows for all poolings of a run."""
    poolings = prepared.config.pooling
    rows = prepared.rows["none" if "none" in poolings else poolings[0]]
    return batches_of(prepared.dataset, rows, sequences, prepared.config.forward_pass.batch_size)


def rows_of_batches(
    prepared: PreparedOnline,
    batches: Iterable[Batch],
    places: Callable[[], Sequence[Place]],
    dtype: torch.dtype,
    to_host: bool = True,
) -> Iterator[tuple[Batch, BatchRows]]:
    """Run batches of texts, and yield the rows of every place.

    Parameters
    ----------
    prepared : PreparedOnline
    batches : iterable of Batch
        Such as those of `text_batches`.
    places : callable
        Returns the places to read; called before every batch, and the model runs only up to the last of them.
    dtype : torch.dtype
        Of the rows.
    to_host : bool
        Whether the rows are copied to the host.

    Raises
    ------
    ActivationError
        When a row is NaN, infinite or too large for the dtype; it says at which place, and of which text.
    """
    poolings = prepared.config.pooling
    row_of_sequence = np.searchsorted(prepared.sequences, np.arange(len(prepared.dataset.lengths)))
    locations: dict[tuple[str, int], Location] = {}

    def names() -> dict[tuple[str, int], str]:
        active = dict.fromkeys(place.location for place in places())
        locations.update({(location.hook_point, location.layer): location for location in active})
        return {(location.hook_point, location.layer): location.name for location in active}

    select = partial(select_poolings, poolings, dtype)
    for batch, kept in forward_at(prepared.model, batches, names, select, to_host):
        n_pooled = batch.pooled.sum(1).tolist()
        sizes = [
            {"none": len(batch.row), "attention": sum(n_pooled)}.get(pooling, len(batch.members))
            for pooling in poolings
        ]
        numbers = [batch.row if p == "none" else row_of_sequence[batch.members] for p in poolings]
        found: BatchRows = {}
        wanted = set(places())  # of a location perhaps with some of the poolings only
        for key, values in kept.items():
            # The extremes are finite only if all values are, and cost a tenth of a check of every value.
            if not all(map(math.isfinite, values.aminmax())):
                raise _not_finite(prepared, batch, locations[key], dtype)
            for pooling, number, part in zip(poolings, numbers, values.split(sizes), strict=True):
                if (place := Place(locations[key], pooling)) in wanted:
                    found[place] = number, pad_texts(part, n_pooled) if pooling == "attention" else part
        yield batch, found


def select_poolings(
    poolings: Sequence[PoolingName], dtype: torch.dtype, batch: Batch, activation: torch.Tensor
) -> torch.Tensor:
    """Return the rows of all poolings of a batch below one another, so that they are copied together.

    Parameters
    ----------
    poolings : sequence of str
    dtype : torch.dtype
    batch : Batch
    activation : (batch, length, width) float

    Returns
    -------
    (rows of all poolings, width) tensor
        The rows of attention pooling are the tokens of one text after another.
    """
    parts = [
        select_rows("none", dtype, batch, activation)
        if pooling == "none"
        else activation[batch.pooled.to(activation.device)].to(dtype)
        if pooling == "attention"
        else pool(
            activation,
            batch.pooled.to(activation.device),
            pooling,  # type: ignore[arg-type]
            batch.pooled_weights.to(activation.device),
        ).to(dtype)
        for pooling in poolings
    ]
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def pad_texts(tokens: torch.Tensor, lengths: Sequence[int]) -> torch.Tensor:
    """Return tokens (sum of lengths, d), text by text, as (texts, longest, d) with NaN behind the end of each text."""
    parts = tokens.split(list(lengths))
    return torch.nn.utils.rnn.pad_sequence(list(parts), batch_first=True, padding_value=torch.nan)


def _not_finite(prepared: PreparedOnline, batch: Batch, location: Location, dtype: torch.dtype) -> ActivationError:
    """Run a batch again in float32, to tell NaN or infinity in the model from numbers too large for the dtype."""
    key, poolings = (location.hook_point, location.layer), prepared.config.pooling
    select = partial(select_poolings, poolings, torch.float32)
    pieces = list(forward_at(prepared.model, [batch], lambda: {key: location.name}, select))
    where = f"{location.name} of {prepared.model.name}"
    limit = torch.finfo(dtype).max
    for piece, kept in pieces:
        texts = [
            piece.members[piece.sequence.numpy()]
            if p == "none"
            else np.repeat(piece.members, piece.pooled.sum(1).numpy() if p == "attention" else 1)
            for p in poolings
        ]
        for row, text in zip(kept[key], np.concatenate(texts).tolist(), strict=True):
            if not torch.isfinite(row).all():
                return ActivationError(
                    f"{where}: text {text} of {prepared.dataset.name} has activations that are NaN or infinite. The "
                    "model itself computes them: run it in --dtype float32, or check its weights."
                )
            if (largest := float(row.abs().max())) > limit:
                return ActivationError(
                    f"{where}: text {text} of {prepared.dataset.name} has an activation of {largest:g}, and float16, "
                    f"in which rows are kept, ends at {limit:g}. Use --learner moments or adamw, or store these "
                    "activations with --output_precision bf16 and probe the store."
                )
    return ActivationError(f"{where}: activations differ between two runs of the same batch. Check the device.")
