"""The arrays of a store, and checks of what is written to them and read from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from probing_datasets.foundation.errors import StoreError, list_known
from sparse_probing.activations.stores.plan import SCALE_DTYPE, StorePlan
from sparse_probing.activations.stores.storage.locations import StorePath

ArrayKey = tuple[str, int]
"""``(hook point, layer)``."""

Activations = Mapping[ArrayKey, np.ndarray]
"""One array ``(rows of the part, width)`` in ``plan.buffer_dtype`` for every hook point and layer."""

Component = Literal["values", "scale", "offset"]
"""What an array holds: activations (or their codes), or the scale or offset that decodes the codes of precision 8."""

FILL_VALUES: dict[str, float | int] = {"float16": np.nan, "float32": np.nan, "uint16": 0x7FC0, "uint8": 0}
"""The values of unfinished parts: NaN, or the bits of a bfloat16 NaN; codes have NaN as their scale."""


@dataclass(frozen=True)
class StoredArray:
    """One two-dimensional array on the disk, cut into parts by rows."""

    hook_point: str
    layer: int
    component: Component
    n_rows: int
    """Rows; of a scale or an offset, blocks of rows."""
    part_rows: int
    """Rows of every part but the last, which may have fewer."""
    width: int
    dtype: np.dtype
    block_rows: int
    """Rows of the activations that share a scale, where they are quantised."""

    @property
    def name(self) -> str:
        """Name inside the store: ``mlp.hook_post/layer_03``, ``mlp.hook_post/layer_03_scale``."""
        suffix = "" if self.component == "values" else f"_{self.component}"
        return f"{self.hook_point}/layer_{self.layer:02d}{suffix}"

    @property
    def attributes(self) -> dict[str, str | int]:
        """Attributes that a reader of the array needs."""
        attributes: dict[str, str | int] = {"hook_point": self.hook_point, "layer": self.layer}
        if self.dtype == np.uint16:
            attributes["bits_of"] = "bfloat16"
        if self.dtype == np.uint8:
            attributes |= {
                "value": "offset + scale * code",
                "block_rows": self.block_rows,
                "part_rows": self.part_rows,
            }
        return attributes


def array_keys(plan: StorePlan) -> list[ArrayKey]:
    """Return every ``(hook point, layer)`` of a plan."""
    return [(hook_point, layer) for hook_point in plan.hook_points for layer in plan.layers]


def arrays_of(plan: StorePlan, key: ArrayKey) -> list[StoredArray]:
    """Return the arrays that hold one layer: its values, and for precision 8 their scale and offset."""
    width = plan.widths[key[0]]
    values = StoredArray(*key, "values", plan.n_rows, plan.part_rows, width, plan.stored_dtype, plan.block_rows)
    if not plan.is_quantised:
        return [values]
    blocks: Any = (plan.n_blocks, plan.blocks_per_part, width, SCALE_DTYPE, plan.block_rows)
    return [values, StoredArray(*key, "scale", *blocks), StoredArray(*key, "offset", *blocks)]


def stored_arrays(plan: StorePlan) -> list[StoredArray]:
    """Return every array of a store."""
    return [array for key in array_keys(plan) for array in arrays_of(plan, key)]


def check_activations(plan: StorePlan, part: int, activations: Activations) -> None:
    """Raise StoreError unless all arrays of a part are given, with their shape and dtype."""
    start, stop = plan.part_range(part)
    for hook_point, layer in array_keys(plan):
        array = activations.get((hook_point, layer))
        given = None if array is None else (array.shape, array.dtype)
        expected = ((stop - start, plan.widths[hook_point]), plan.buffer_dtype)
        if given != expected:
            raise StoreError(
                f"Part {part}, {hook_point}, layer {layer}: expected shape and dtype {expected}, "
                f"got {given}. Give every array of the plan in its buffer_dtype."
            )


def find_array(root: StorePath, plan: StorePlan, layer: int, hook_point: str | None) -> ArrayKey:
    """Return ``(hook point, layer)``, or raise StoreError that lists those that the store holds."""
    if hook_point is None and len(plan.hook_points) > 1:
        raise StoreError(f"{root} holds {', '.join(plan.hook_points)}. Pass the hook_point to read.")
    hook_point = next(iter(plan.hook_points)) if hook_point is None else hook_point
    if hook_point not in plan.hook_points or layer not in plan.layers:
        raise StoreError(
            f"{root} does not hold {hook_point} of layer {layer}: it holds {', '.join(plan.hook_points)} of "
            f"layers {list_known(str(layer), map(str, plan.layers))}. Run stage 1 for what is missing."
        )
    return hook_point, layer


def check_rows(rows: slice | np.ndarray, n_rows: int) -> np.ndarray:
    """Return rows as increasing integers; raise StoreError when they are not increasing, or one does not exist."""
    numbers = np.arange(n_rows)[rows] if isinstance(rows, slice) else _integers(rows)
    if numbers is None or np.any(numbers < 0) or np.any(numbers >= n_rows) or np.any(np.diff(numbers) <= 0):
        raise StoreError(
            f"Rows must be a slice or increasing integers from 0 to {n_rows - 1}, not {_shown(rows)}. "
            "Sort them, and pass each once; then select from the result."
        )
    return numbers


def check_columns(columns: np.ndarray, width: int) -> np.ndarray:
    """Return columns as one-dimensional integers; raise StoreError when one does not exist."""
    numbers = _integers(columns)
    if numbers is None or np.any(numbers < 0) or np.any(numbers >= width):
        raise StoreError(
            f"Columns must be a list of integers from 0 to {width - 1}, not {_shown(columns)}. "
            "Check the layer of these neurons."
        )
    return numbers


def _integers(numbers: np.ndarray) -> np.ndarray | None:
    """Return numbers as one-dimensional int64, or None when they are not integers of one dimension."""
    array = np.asarray(numbers)
    return array.astype(np.int64) if array.ndim == 1 and (array.dtype.kind in "iu" or array.size == 0) else None


def _shown(value: object) -> str:
    return str(value) if isinstance(value, slice) else np.array2string(np.asarray(value), threshold=8)
