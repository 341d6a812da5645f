"""The activations of the parts of a harvest: rows are selected or pooled on the device, and put in their place."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import chain

import numpy as np
import torch

from probing_datasets.feature_dataset import Aggregation
from probing_datasets.foundation.errors import ActivationError
from sparse_probing.activations.harvesting.harvest_plan import Harvest
from sparse_probing.activations.model_pass.batches import Batch, part_batches
from sparse_probing.activations.model_pass.forward_pass import Kept, forward
from sparse_probing.activations.model_pass.pooling import pool
from sparse_probing.config import Precision

BUFFER_DTYPES: dict[Precision, torch.dtype] = {
    "8": torch.float32,
    "16": torch.float16,
    "32": torch.float32,
    "bf16": torch.bfloat16,
}
"""What is handed to a store of each precision."""

PartBuffers = dict[tuple[str, int], np.ndarray]
"""(rows of a part, width) by hook point and layer, in the dtype that the store takes."""


def allocate_part(job: Harvest, hook_points: Sequence[str]) -> PartBuffers:
    """Return memory for one part."""
    plans = {hook_point: job.plans[hook_point] for hook_point in hook_points}
    return {
        (hook_point, layer): np.empty((plan.part_rows, plan.widths[hook_point]), plan.buffer_dtype)
        for hook_point, plan in plans.items()
        for layer in plan.layers
    }


def compute_parts(
    job: Harvest,
    hook_points: Sequence[str],
    parts: Sequence[int],
    next_buffers: Callable[[], PartBuffers],
    progress: Callable[[int], object],
) -> Iterator[tuple[int, PartBuffers]]:
    """Yield parts one after the other.

    The batches of all parts are one stream: a GPU computes the first batch of a part while the
    last one of the part before is taken from it.

    Parameters
    ----------
    job : Harvest
    hook_points : sequence of str
        Those to compute; their plans have the same parts.
    parts : sequence of int
    next_buffers : callable
        Returns memory to fill; the last part may not need all of its rows.
    progress : callable
        Called with a number of rows whenever so many more are there.

    Raises
    ------
    ActivationError
        When an activation is NaN or infinite, or too large for the precision.
    """
    plan = job.plans[hook_points[0]]
    batches = chain.from_iterable(_batches(job, plan.part_range(part)) for part in parts)
    select = partial(select_rows, job.config.activations.activation_aggregation, BUFFER_DTYPES[plan.precision])
    stream = forward(job.model, batches, hook_points, plan.layers, select)
    for part in parts:
        buffers = next_buffers()
        n_missing = _clear_padding(job, plan.part_range(part), buffers)
        while n_missing:
            batch, kept = next(stream)
            _put(job, batch, kept, buffers)
            n_missing -= len(batch.row)
            progress(len(batch.row))
        yield part, buffers


def _batches(job: Harvest, span: tuple[int, int]) -> Iterator[Batch]:
    return part_batches(job.dataset, job.rows, *span, job.config.forward_pass.batch_size)


def _clear_padding(job: Harvest, span: tuple[int, int], buffers: PartBuffers) -> int:
    """Set rows of padding to zero, and return how many others there are: those that batches fill."""
    sequence, position = (column[slice(*span)] for column in (job.rows.sequence, job.rows.position))
    padding = np.flatnonzero(position >= job.dataset.lengths[sequence])
    for buffer in buffers.values():
        buffer[padding] = 0
    return len(sequence) - len(padding)


def _put(job: Harvest, batch: Batch, kept: Kept, buffers: PartBuffers) -> None:
    for key, values in kept.items():
        # The extremes are finite only if all values are, and cost a tenth of asking every value.
        if not all(map(torch.isfinite, values.aminmax())):
            _refuse_not_finite(job, batch, *key)
        stored = values.view(torch.uint16) if values.dtype == torch.bfloat16 else values
        buffers[key][batch.row] = stored.numpy()


def select_rows(aggregation: Aggregation, dtype: torch.dtype, batch: Batch, activation: torch.Tensor) -> torch.Tensor:
    """Return the rows of a batch, selected or pooled: (rows of the batch, width) in a dtype.

    Parameters
    ----------
    aggregation : {'none', 'mean', 'max', 'last'}
    dtype : torch.dtype
    batch : Batch
    activation : (batch, length, width)
    """
    sequence, flat = batch.sequence.to(activation.device), activation.flatten(0, 1)
    if aggregation != "none":
        return pool(activation, batch.pooled.to(activation.device), aggregation)[sequence].to(dtype)
    index = sequence * activation.shape[1] + batch.position.to(activation.device)
    if 2 * len(index) > len(flat):  # convert first where most is kept: then less is moved
        return flat.to(dtype).index_select(0, index)
    return flat.index_select(0, index).to(dtype)


def _refuse_not_finite(job: Harvest, batch: Batch, hook_point: str, layer: int) -> None:
    """Run the batch again in float32, to tell a fault of the model from numbers too large for the precision."""
    select = partial(select_rows, job.config.activations.activation_aggregation, torch.float32)
    again = forward(job.model, [batch], [hook_point], [layer], select)
    values = torch.cat([kept[hook_point, layer] for _, kept in again])
    where = f"layer {layer}, {hook_point} of {job.config.activations.model}"
    if not torch.isfinite(values).all():
        raise ActivationError(
            f"{where}: {int((~torch.isfinite(values)).sum())} activations of a batch are NaN or infinite. "
            "The model itself computes them: run it in --dtype float32, or check its weights."
        )
    precision = job.config.storage.output_precision
    limit = torch.finfo(BUFFER_DTYPES[precision]).max
    raise ActivationError(
        f"{where}: {int((values.abs() > limit).sum())} activations of a batch exceed {limit:g}, the largest number of "
        f"--output_precision {precision}. Use --output_precision bf16 or 32 with --overwrite."
    )
