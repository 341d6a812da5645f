"""The plan of an activation store: what it will hold, fixed before the first forward pass."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from probing_datasets.foundation.errors import StoreError, StoreFormatError
from probing_datasets.foundation.files.path_names import path_name
from probing_datasets.foundation.files.sealed_json import shaped
from sparse_probing.config import Precision

FORMAT_VERSION = 1

STORED_DTYPES: dict[Precision, np.dtype] = {
    "8": np.dtype("u1"),
    "16": np.dtype("<f2"),
    "32": np.dtype("<f4"),
    "bf16": np.dtype("<u2"),
}
"""The dtype of each precision on the disk; NumPy has no bfloat16, so its bits are stored as uint16."""

SCALE_DTYPE = np.dtype("<f4")
"""The dtype of scale and offset of precision 8 on the disk."""

QUANTISED_ROWS = 256
"""Largest number of rows that share a scale and an offset; with more rows the error of neurons with outliers grows."""

SMALLEST_PART, LARGEST_PART = 64, 4096
MAX_ROWS, MAX_PARTS, MAX_LAYERS, MAX_HOOK_POINTS, MAX_WIDTH = 2**32, 2**20, 4096, 256, 2**24
"""What a plan may claim; a file that claims more was damaged, or made to fill the memory."""
TARGET_PART_BYTES = 128 * 2**20
SHOWN_CHARACTERS = 40


@dataclass(frozen=True)
class StorePlan:
    """What a store holds and how its rows are cut into parts.

    A part, the unit of work and of resuming, is one range of rows across all layers
    and hook points.
    """

    fingerprint: dict[str, Any]
    """JSON values that decide the numbers: model, revision, data set, aggregation, algorithm version."""
    layers: tuple[int, ...]
    hook_points: tuple[str, ...]
    """For example ``("mlp.hook_post",)``."""
    widths: dict[str, int]
    """Columns (neurons) of each hook point."""
    n_rows: int
    part_rows: int
    """Rows of every part but the last, which may have fewer."""
    precision: Precision

    def __post_init__(self) -> None:
        """Refuse a plan without rows, names that cannot be folders, and numbers that no real store has."""
        for hook_point in self.hook_points:
            path_name(hook_point, "The plan of a store")
        if self.n_rows < 1 or self.part_rows < 1:
            raise StoreError(
                f"A store needs at least one row, but the plan has {self.n_rows} rows in parts of "
                f"{self.part_rows}. Choose a data set and positions that select some tokens."
            )
        limits = {
            "rows": (self.n_rows, MAX_ROWS),
            "parts": (self.n_parts, MAX_PARTS),
            "layers": (max(len(self.layers), *self.layers, 0), MAX_LAYERS),
            "hook points": (len(self.hook_points), MAX_HOOK_POINTS),
            "neurons": (max(0, 0, *self.widths.values()), MAX_WIDTH),
        }
        for what, (number, limit) in limits.items():
            if number > limit:
                raise StoreError(f"The plan has {number:,} {what}, and a store has at most {limit:,}.")
        numbers = [*self.layers, *(width - 1 for width in self.widths.values())]
        is_distinct = len(set(self.layers)) == len(self.layers) and len(set(self.hook_points)) == len(self.hook_points)
        if (
            not self.layers
            or not self.hook_points
            or min(numbers) < 0
            or not is_distinct
            or set(self.widths) != set(self.hook_points)
        ):
            raise StoreError(
                f"The plan of a store needs distinct layers and hook points, and a width for each hook point; it has "
                f"layers {self.layers}, hook points {self.hook_points} and widths {self.widths}."
            )

    @property
    def n_parts(self) -> int:
        """Number of parts."""
        return -(-self.n_rows // self.part_rows)

    @property
    def stored_dtype(self) -> np.dtype:
        """The dtype of the values on the disk; uint16 bits for bfloat16, uint8 codes for precision 8."""
        return STORED_DTYPES[self.precision]

    @property
    def buffer_dtype(self) -> np.dtype:
        """The dtype of the arrays that the store takes: float32 for precision 8, which the store quantises."""
        return STORED_DTYPES["32"] if self.is_quantised else self.stored_dtype

    @property
    def is_quantised(self) -> bool:
        """Whether values are stored as codes, with a scale and an offset for every column and block of rows."""
        return self.precision == "8"

    @property
    def block_rows(self) -> int:
        """Rows of a part that share a scale and an offset; the last block of a part may have fewer."""
        return min(QUANTISED_ROWS, self.part_rows)

    @property
    def blocks_per_part(self) -> int:
        """Blocks of rows of every part but the last, which may have fewer."""
        return -(-self.part_rows // self.block_rows)

    @property
    def n_blocks(self) -> int:
        """Blocks of rows of the store."""
        start, stop = self.part_range(self.n_parts - 1)
        return (self.n_parts - 1) * self.blocks_per_part - (start - stop) // self.block_rows

    @property
    def bytes_per_row(self) -> int:
        """Bytes of one row across all layers and hook points, with its share of scales and offsets (rounded up)."""
        columns = sum(self.widths[hook_point] for hook_point in self.hook_points) * len(self.layers)
        scales = 2 * SCALE_DTYPE.itemsize * columns * self.blocks_per_part if self.is_quantised else 0
        return columns * self.stored_dtype.itemsize - (-scales // self.part_rows)

    @property
    def nbytes(self) -> int:
        """Bytes of all activations, without padding, checksums and metadata."""
        return self.n_rows * self.bytes_per_row

    def part_range(self, part: int) -> tuple[int, int]:
        """Return the first row of a part and the row after its last."""
        if not 0 <= part < self.n_parts:
            raise StoreError(f"There is no part {part}: the plan has parts 0 to {self.n_parts - 1}.")
        start = part * self.part_rows
        return start, min(start + self.part_rows, self.n_rows)

    def to_json(self) -> dict[str, Any]:
        """Return the plan as plain JSON values."""
        return json.loads(json.dumps({"format_version": FORMAT_VERSION, **asdict(self)}))

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> StorePlan:
        """Return the plan that :meth:`to_json` wrote.

        Raises
        ------
        StoreFormatError
            When the plan has another version of the format.
        ValueError
            When a field is missing or has another type.
        StoreError, DamagedFileError
            When a number or a name is one that no store has.
        """
        fields = dict(value)
        version = fields.pop("format_version", None)
        if version != FORMAT_VERSION:
            raise StoreFormatError(
                f"The store has format version {str(version)[:SHOWN_CHARACTERS]}, this code reads version "
                f"{FORMAT_VERSION}. Use the release that wrote the store, or harvest it again."
            )
        return shaped(fields, cls)


def choose_part_rows(n_rows: int, bytes_per_row: int, target: int = TARGET_PART_BYTES) -> int:
    """Return how many rows a part should have.

    This is the largest power of two between 64 and 4096 whose part has at most ``target`` bytes. A
    store with fewer rows is one part.

    Parameters
    ----------
    n_rows : int
        Rows of the store.
    bytes_per_row : int
        Bytes of one row across all layers and hook points.
    target : int
        Bytes that one part should not exceed (64 rows of a wide model may exceed it).

    Examples
    --------
    >>> choose_part_rows(1_000_000, 12 * 3072 * 2)
    1024
    >>> choose_part_rows(100, 12 * 3072 * 2)
    100
    """
    fitting = max(target // bytes_per_row, 1)
    power_of_two = 1 << (fitting.bit_length() - 1)
    return min(max(SMALLEST_PART, min(power_of_two, LARGEST_PART)), n_rows)


def plan_differences(old: StorePlan, new: StorePlan) -> list[str]:
    """Return one line ``key: old -> new`` for every key in which two plans differ."""
    before, after = dict(_flatten(old.to_json())), dict(_flatten(new.to_json()))
    keys = [*before, *(key for key in after if key not in before)]
    return [
        f"{key}: {_shorten(before, key)} -> {_shorten(after, key)}"
        for key in keys
        if key not in before or key not in after or before[key] != after[key]
    ]


def _flatten(value: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, item in value.items():
        if isinstance(item, dict) and item:
            yield from _flatten(item, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", item


def _shorten(values: dict[str, Any], key: str) -> str:
    if key not in values:
        return "(absent)"
    text = json.dumps(values[key])
    return text if len(text) <= SHOWN_CHARACTERS else text[: SHOWN_CHARACTERS - 1] + "…"
