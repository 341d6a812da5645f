"""Quantise to one byte per value: every column of every block of rows has its own scale and offset."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from probing_datasets.foundation.errors import StoreError

LARGEST_CODE = 255
TILE_COLUMNS = 512
"""Columns quantised at a time, so that a block of them stays in the cache."""

Run = tuple[int, slice]
"""A block, and its rows among those that are decoded."""


class Quantised(NamedTuple):
    """Values as codes: ``offset + scale * code``."""

    codes: np.ndarray
    """uint8, ``(rows, width)``."""
    scale: np.ndarray
    """float32, ``(blocks, width)``: the step between two codes, positive."""
    offset: np.ndarray
    """float32, ``(blocks, width)``: the value of code 0."""


def quantise(values: np.ndarray, block_rows: int) -> Quantised:
    """Return values as 256 equal steps from the smallest to the largest of each column of each block.

    No value changes by more than half a step, besides the rounding of float32. The smallest step is the
    smallest normal float32, so that a constant column is exact and nothing divides by zero.

    Parameters
    ----------
    values : np.ndarray
        float32, ``(rows, width)``.
    block_rows : int
        Rows that share a scale and an offset; the last block may have fewer.

    Raises
    ------
    StoreError
        When a value is NaN or infinite, or a column spans more than float32 holds.
    """
    starts = range(0, len(values), block_rows)
    shape = (len(starts), values.shape[1])
    result = Quantised(np.empty(values.shape, np.uint8), np.empty(shape, np.float32), np.empty(shape, np.float32))
    for block, start in enumerate(starts):
        for first in range(0, values.shape[1], TILE_COLUMNS):
            rows, columns = slice(start, start + block_rows), slice(first, first + TILE_COLUMNS)
            scale, offset = _fit(values[rows, columns], start, first)
            steps = values[rows, columns] - offset
            steps *= 1 / scale
            result.codes[rows, columns] = np.rint(steps, out=steps)
            result.scale[block, columns], result.offset[block, columns] = scale, offset
    return result


def dequantise(codes: np.ndarray, scale: np.ndarray, offset: np.ndarray, runs: Sequence[Run]) -> np.ndarray:
    """Return the float32 values of codes.

    Parameters
    ----------
    codes : np.ndarray
        uint8, ``(rows, columns)`` or ``(rows,)`` of one column.
    scale, offset : np.ndarray
        float32, ``(blocks, columns)`` or ``(blocks,)``.
    runs : Sequence[tuple[int, slice]]
        The blocks of the rows, as :func:`runs_of` gives them.
    """
    values = codes.astype(np.float32)
    for block, rows in runs:
        values[rows] *= scale[block]
        values[rows] += offset[block]
    return values


def runs_of(rows: np.ndarray, block_rows: int) -> list[Run]:
    """Return which of the increasing ``rows`` belong to which block; blocks without rows are not listed.

    Examples
    --------
    >>> runs_of(np.array([0, 7, 20, 21, 29]), block_rows=10)
    [(0, slice(0, 2, None)), (2, slice(2, 5, None))]
    """
    blocks = range(int(rows[0]) // block_rows, int(rows[-1]) // block_rows + 1)
    ends = np.searchsorted(rows, [(block + 1) * block_rows for block in blocks]).tolist()
    starts = [0, *ends[:-1]]
    return [(block, slice(start, end)) for block, start, end in zip(blocks, starts, ends, strict=True) if start < end]


def _fit(values: np.ndarray, first_row: int, first_column: int) -> tuple[np.ndarray, np.ndarray]:
    """Return scale and offset of every column; raise StoreError that names the first column without them."""
    with np.errstate(over="ignore", invalid="ignore"):
        offset, largest = values.min(0), values.max(0)
        scale = np.maximum((largest - offset) / np.float32(LARGEST_CODE), np.finfo(np.float32).tiny)
        without = np.flatnonzero(~np.isfinite(offset + scale * LARGEST_CODE))
    if without.size:
        column = without[0]
        raise StoreError(
            f"Column {first_column + column}, rows {first_row} to {first_row + len(values) - 1}: values from "
            f"{offset[column]:g} to {largest[column]:g} cannot be quantised. They must be finite, and float32 must "
            "hold their span. Use --output_precision 32, or check the weights of the model."
        )
    return scale, offset
