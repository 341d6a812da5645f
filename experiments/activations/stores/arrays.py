"""Checks and arithmetic behind writing the arrays of a part and reading a piece of a layer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from experiments.activations.plan import StorePlan
from probing_datasets.foundation.errors import StoreError

ArrayKey = tuple[str, int]
"""``(hook point, layer)``."""

Activations = Mapping[ArrayKey, np.ndarray]
"""One array ``(rows of the part, width)`` in the stored dtype for every hook point and layer."""


def array_keys(plan: StorePlan) -> list[ArrayKey]:
    """Return every ``(hook point, layer)`` of a plan."""
    return [(hook_point, layer) for hook_point in plan.hook_points for layer in plan.layers]


def check_activations(plan: StorePlan, part: int, activations: Activations) -> None:
    """Raise StoreError unless all arrays of a part are there, in their shape and stored dtype."""
    start, stop = plan.part_range(part)
    for hook_point, layer in array_keys(plan):
        array = activations.get((hook_point, layer))
        found = None if array is None else (array.shape, array.dtype)
        expected = ((stop - start, plan.widths[hook_point]), plan.stored_dtype)
        if found != expected:
            raise StoreError(
                f"Part {part}, {hook_point}, layer {layer}: expected shape and dtype {expected}, "
                f"got {found}. Give every array of the plan in the stored dtype."
            )


def find_array(root: Path, plan: StorePlan, layer: int, hook_point: str | None) -> ArrayKey:
    """Return ``(hook point, layer)``, or raise StoreError saying which ones the store holds."""
    if hook_point is None and len(plan.hook_points) > 1:
        raise StoreError(f"{root} holds {', '.join(plan.hook_points)}. Say which hook point to read.")
    hook_point = next(iter(plan.hook_points)) if hook_point is None else hook_point
    if hook_point not in plan.hook_points or layer not in plan.layers:
        raise StoreError(
            f"{root} does not hold {hook_point} of layer {layer}: it holds {', '.join(plan.hook_points)} of "
            f"layers {', '.join(map(str, plan.layers))}. Run stage 1 for what is missing."
        )
    return hook_point, layer


def row_span(rows: slice, n_rows: int) -> range:
    """Return the rows of a slice as a range; StoreError unless they are consecutive."""
    start, stop, step = rows.indices(n_rows)
    if step != 1:
        raise StoreError(f"{rows} is not a span of rows. Read with step 1 and select from the result.")
    return range(start, max(start, stop))


def check_columns(columns: np.ndarray, width: int) -> np.ndarray:
    """Return columns as one-dimensional integers, or raise StoreError when one does not exist."""
    columns = np.asarray(columns)
    integers = columns.ndim == 1 and (columns.dtype.kind in "iu" or columns.size == 0)
    if not integers or np.any(columns < 0) or np.any(columns >= width):
        raise StoreError(
            f"Columns must be a list of integers from 0 to {width - 1}, "
            f"not {np.array2string(columns, threshold=8)}. Check the layer of these neurons."
        )
    return columns.astype(np.int64)


def parts_of(plan: StorePlan, span: range) -> Iterator[tuple[int, slice, slice]]:
    """Yield ``(part, rows within the part, rows within the span)`` for the parts that a span meets."""
    for part in range(span.start // plan.part_rows, -(-span.stop // plan.part_rows)):
        first, end = plan.part_range(part)
        start, stop = max(span.start, first), min(span.stop, end)
        if start < stop:
            yield part, slice(start - first, stop - first), slice(start - span.start, stop - span.start)


def decode_bfloat16(bits: np.ndarray) -> np.ndarray:
    """Return float32 from bfloat16 bits in uint32, exactly and in place: the same bits, 16 places higher."""
    np.left_shift(bits, 16, out=bits)
    return bits.view(np.float32)
