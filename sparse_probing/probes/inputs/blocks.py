"""Blocks of a layer in float64 that fit into the cache."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from sparse_probing.probes.inputs.validation import Floats, Integers

BLOCK_ELEMENTS = 2**16
"""Elements of a float64 block (512 KiB): small enough that the few arrays of a fit stay in the cache."""

TILE_ROWS, TILE_COLUMNS = 1024, 64
"""Size of a tile of a layer that is read once: 512 KiB of float64."""


def tiles(X: NDArray) -> Iterator[tuple[slice, slice, Floats]]:
    """Yield ``(rows, columns, tile)`` over all of ``X`` (n, d): float64 copies in the memory order of ``X``."""
    n, d = X.shape
    for first_column in range(0, d, TILE_COLUMNS):
        columns = slice(first_column, min(first_column + TILE_COLUMNS, d))
        for first_row in range(0, n, TILE_ROWS):
            rows = slice(first_row, min(first_row + TILE_ROWS, n))
            yield rows, columns, X[rows, columns].astype(np.float64)


def column_blocks(X: NDArray, rows: Integers | None = None) -> Iterator[tuple[slice, Floats]]:
    """Yield ``(columns, block)``: b columns of ``X`` (n, d) as a contiguous float64 copy (b, n).

    If ``rows`` (m,) is given, blocks are (b, m) and contain only these rows.
    """
    n, d = X.shape
    width = max(4, BLOCK_ELEMENTS // n)
    for start in range(0, d, width):
        columns = slice(start, min(start + width, d))
        block = X[:, columns].T if rows is None else X[:, columns].T.take(rows, axis=1)
        yield columns, block.astype(np.float64, order="C")
