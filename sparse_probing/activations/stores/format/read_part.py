"""Read a piece of a layer: some rows, some columns, in any dtype and memory order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import DTypeLike

from probing_datasets.foundation.errors import StoreError
from sparse_probing.activations.stores.format.blocks import BlockLayout, read_blocks
from sparse_probing.activations.stores.format.quantisation import dequantise, runs_of
from sparse_probing.activations.stores.plan import StorePlan
from sparse_probing.activations.stores.storage.locations import StorePath
from sparse_probing.config import Precision

Order = Literal["C", "F"]
"""``C``: the columns of a row are contiguous; ``F``: the rows of a column are."""

BFLOAT16_BITS = np.dtype(np.uint16)
"""bfloat16, for which NumPy has no dtype: the upper half of a float32."""

READ_DTYPES: dict[Precision, np.dtype] = {
    "8": np.dtype(np.float32),
    "16": np.dtype(np.float16),
    "32": np.dtype(np.float32),
    "bf16": BFLOAT16_BITS,
}
"""The dtype of the arrays that hold what is read of each precision exactly."""

READABLE = tuple(map(np.dtype, (np.float16, np.float32, np.float64)))

Pieces = dict[int, list[tuple[slice | int, slice | int]]]
"""Block -> columns within the block, and where they go in the result."""


@dataclass(frozen=True)
class PartRows:
    """Some rows of one part."""

    part: int
    inside: np.ndarray
    """Rows within the part, increasing."""
    outside: slice
    """Where they go in the result."""
    is_whole: bool
    """Whether these are all rows of the part."""

    def span(self, layout: BlockLayout) -> slice:
        """Return the rows of the file to read: for a whole part all, with padding, which the checksums cover too."""
        return slice(0, layout.rows) if self.is_whole else slice(int(self.inside[0]), int(self.inside[-1]) + 1)

    def take(self, block: np.ndarray, first: int) -> np.ndarray:
        """Return these rows of a block that begins with row ``first``; a view when they are contiguous."""
        rows = self.inside - first
        if rows[-1] - rows[0] + 1 == len(rows):
            return block[rows[0] : rows[-1] + 1]
        return np.take(block, rows, axis=0)


def parts_of(plan: StorePlan, rows: np.ndarray) -> Iterator[PartRows]:
    """Yield increasing rows of a store by the part in which they lie."""
    for part in range(plan.n_parts):
        first, end = plan.part_range(part)
        start, stop = np.searchsorted(rows, [first, end]).tolist()
        if start < stop:
            yield PartRows(part, rows[start:stop] - first, slice(start, stop), stop - start == end - first)


def dtype_to_read(dtype: DTypeLike | None, precision: Precision) -> np.dtype:
    """Return the dtype to read into: the given one, or for None the stored one (float32 where NumPy has none)."""
    if dtype is None:
        return np.dtype(np.float16 if precision == "16" else np.float32)
    if np.dtype(dtype) not in READABLE:
        raise StoreError(f"Activations are read as float16, float32 or float64, not {np.dtype(dtype)}.")
    return np.dtype(dtype)


def read_part(
    files: Sequence[tuple[StorePath, BlockLayout]],
    rows: PartRows,
    columns: np.ndarray | None,
    block_rows: int,
    out: np.ndarray,
) -> None:
    """Copy some rows and columns of one part of a layer into ``out``, a block of columns at a time.

    This is NumPy, and not PyTorch, whose import takes longer than most tasks of stage 2.

    Parameters
    ----------
    files : Sequence[tuple[StorePath, BlockLayout]]
        The files of the values and, where they are quantised, of their scale and offset.
    rows : PartRows
        The rows. Blocks of a whole part, and all scales, are compared with their checksums.
    columns : np.ndarray or None
        Columns in the order of ``out``; None means all.
    block_rows : int
        Rows that share a scale.
    out : np.ndarray
        ``(rows, columns)``; of `BFLOAT16_BITS` for the bits of stored bfloat16.

    Raises
    ------
    CorruptStoreError
        When a file is missing or too short, or a checked block is damaged.
    """
    (path, layout), *scale_files = files
    pieces, span = column_pieces(layout, columns), rows.span(layout)
    values = read_blocks(path, layout, list(pieces), span, rows.is_whole)
    runs = runs_of(rows.inside, block_rows)
    scales = [read_blocks(p, shape, list(pieces), slice(0, shape.rows), True) for p, shape in scale_files]
    for copies, block, *scale_blocks in zip(pieces.values(), values, *scales, strict=True):
        stored = rows.take(block, span.start)
        for source, target in copies:
            decoded = stored[:, source]
            if scale_blocks:
                scale, offset = (steps[:, source] for steps in scale_blocks)
                decoded = dequantise(decoded, scale, offset, runs)
            elif decoded.dtype == BFLOAT16_BITS and out.dtype != BFLOAT16_BITS:
                decoded = np.left_shift(decoded, 16, dtype=np.uint32).view(np.float32)
            with np.errstate(over="ignore"):  # a value beyond float16 becomes infinite
                out[:, target] = decoded


def column_pieces(layout: BlockLayout, columns: np.ndarray | None) -> Pieces:
    """Return the columns to copy out of each block; None means all."""
    width = layout.block_columns
    if columns is None:
        return {b: [(slice(None), slice(b * width, (b + 1) * width))] for b in range(layout.n_blocks)}
    pieces: Pieces = {}
    for place in np.argsort(columns, kind="stable").tolist():
        block, inside = divmod(int(columns[place]), width)
        pieces.setdefault(block, []).append((inside, place))
    return pieces
