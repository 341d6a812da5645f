"""Compute the parts of a harvest: rows are selected or pooled on the device, and copied to their place in a part."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import chain

import numpy as np
import torch

from probing_datasets.feature_dataset import Aggregation
from probing_datasets.foundation.errors import ActivationError
from sparse_probing.activations.harvesting.prepare import PreparedHarvest
from sparse_probing.activations.model_pass.batches import Batch, part_batches
from sparse_probing.activations.model_pass.forward_pass import forward
from sparse_probing.activations.model_pass.pooling import pool
from sparse_probing.config import Precision

BUFFER_DTYPES: dict[Precision, torch.dtype] = {
    "8": torch.float32,
    "16": torch.float16,
    "32": torch.float32,
    "bf16": torch.bfloat16,
}
"""The dtype that a store of each precision takes."""

PartBuffers = dict[tuple[str, int], np.ndarray]
"""(rows of a part, width) by hook point and layer, in the dtype that the store takes."""


def allocate_part(prepared: PreparedHarvest, hook_points: Sequence[str]) -> PartBuffers:
    """Return memory for one part."""
    plans = {hook_point: prepared.plans[hook_point] for hook_point in hook_points}
    return {
        (hook_point, layer): np.empty((plan.part_rows, plan.widths[hook_point]), plan.buffer_dtype)
        for hook_point, plan in plans.items()
        for layer in plan.layers
    }


def compute_parts(
    prepared: PreparedHarvest,
    hook_points: Sequence[str],
    parts: Sequence[int],
    next_buffers: Callable[[], PartBuffers],
    progress: Callable[[int], object],
) -> Iterator[tuple[int, PartBuffers]]:
    """Yield parts one after the other.

    The batches of all parts are one stream: a GPU computes the first batch of a part while the last
    batch of the previous part is copied.

    Parameters
    ----------
    prepared : PreparedHarvest
    hook_points : sequence of str
        Hook points to compute; their plans have the same parts.
    parts : sequence of int
    next_buffers : callable
        Returns memory to fill; the last part may not need all of its rows.
    progress : callable
        Called with the number of rows that were computed since the previous call.

    Yields
    ------
    int, dict
        Number of a part, and its activations.

    Raises
    ------
    ActivationError
        When an activation is NaN or infinite, or too large for the precision.
    """
    config, dataset, rows = prepared.config, prepared.dataset, prepared.rows
    plan, batch_size = prepared.plans[hook_points[0]], config.forward_pass.batch_size
    batches = (part_batches(dataset, rows, *plan.part_range(part), batch_size) for part in parts)
    select = partial(select_rows, config.activations.activation_aggregation, BUFFER_DTYPES[plan.precision])
    stream = forward(prepared.model, chain.from_iterable(batches), hook_points, plan.layers, select)
    for part in parts:
        buffers = next_buffers()

        # No batch fills the rows of padding: they are zero.
        start, stop = plan.part_range(part)
        is_padding = rows.position[start:stop] >= dataset.lengths[rows.sequence[start:stop]]
        padding = np.flatnonzero(is_padding)
        for buffer in buffers.values():
            buffer[padding] = 0

        n_missing = stop - start - len(padding)
        while n_missing:
            batch, kept = next(stream)
            for key, values in kept.items():
                # The extremes are finite only if all values are, and cost a tenth of a check of every value.
                if not all(map(math.isfinite, values.aminmax())):
                    raise _not_finite(prepared, batch, *key)
                stored = values.view(torch.uint16) if values.dtype == torch.bfloat16 else values
                buffers[key][batch.row] = stored.numpy()
            n_missing -= len(batch.row)
            progress(len(batch.row))
        yield part, buffers


def select_rows(aggregation: Aggregation, dtype: torch.dtype, batch: Batch, activation: torch.Tensor) -> torch.Tensor:
    """Return the rows of a batch, selected or pooled.

    Parameters
    ----------
    aggregation : {'none', 'mean', 'max', 'last'}
    dtype : torch.dtype
    batch : Batch
    activation : (batch, length, width) float

    Returns
    -------
    (rows of the batch, width) tensor of the given dtype
    """
    sequence, flat = batch.sequence.to(activation.device), activation.flatten(0, 1)
    if aggregation != "none":
        valid, weights = (part.to(activation.device) for part in (batch.pooled, batch.pooled_weights))
        return pool(activation, valid, aggregation, weights)[sequence].to(dtype)
    index = sequence * activation.shape[1] + batch.position.to(activation.device)
    if 2 * len(index) > len(flat):  # where most rows are kept, converting first moves fewer bytes
        return flat.to(dtype).index_select(0, index)
    return flat.index_select(0, index).to(dtype)


def _not_finite(prepared: PreparedHarvest, batch: Batch, hook_point: str, layer: int) -> ActivationError:
    """Run a batch again in float32, to tell NaN or infinity in the model from numbers too large for the precision."""
    activations, precision = prepared.config.activations, prepared.config.storage.output_precision
    select = partial(select_rows, activations.activation_aggregation, torch.float32)
    second_pass = forward(prepared.model, [batch], [hook_point], [layer], select)
    values = torch.cat([kept[hook_point, layer] for _, kept in second_pass])
    where = f"layer {layer}, {hook_point} of {activations.model}"
    if n_not_finite := int((~torch.isfinite(values)).sum()):
        return ActivationError(
            f"{where}: {n_not_finite} activations of a batch are NaN or infinite. "
            "The model itself computes them: run it in --dtype float32, or check its weights."
        )
    limit = torch.finfo(BUFFER_DTYPES[precision]).max
    return ActivationError(
        f"{where}: {int((values.abs() > limit).sum())} activations of a batch exceed {limit:g}, the largest number of "
        f"--output_precision {precision}. Use --output_precision bf16 or 32 with --overwrite."
    )
