"""Column blocks: the layout of the values of one part of an array in its file, in both encodings.

A block holds all rows of a few neighbouring columns, row-major, uncompressed, and has a CRC-32C.
Both encodings put the same blocks at known offsets, so that a block is read as a range of bytes of a
mapped file, or of an object behind a URL.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import cast

import google_crc32c
import numpy as np

from probing_datasets.foundation.errors import CorruptStoreError
from sparse_probing.activations.stores.storage.files import Span, read_ranges
from sparse_probing.activations.stores.storage.locations import StorePath

CRC_BYTES = 4
FEWEST_BLOCK_COLUMNS = 16
MOST_BLOCKS = 128
REPAIR = (
    "Run get_activations.py with the settings of the store and --resume, or, where convert or merge made it, "
    "that command again: it writes the damaged parts again."
)
"""The remedy for a damaged file of a part, for error messages."""


@cache
def choose_block_columns(width: int) -> int:
    """Return the columns of a block: the smallest divisor of ``width`` that gives large enough blocks.

    At least 16 columns and at most 128 blocks keep the reading of whole layers and of a few columns
    fast. A width without such a divisor (a prime) becomes a single block.

    Examples
    --------
    >>> [choose_block_columns(width) for width in (8192, 2048, 768, 509, 7)]
    [64, 16, 16, 509, 7]
    """
    target = min(width, max(FEWEST_BLOCK_COLUMNS, -(-width // MOST_BLOCKS)))
    return next(columns for columns in range(target, width + 1) if width % columns == 0)


@dataclass(frozen=True)
class BlockLayout:
    """Offsets of the blocks of ``(rows, width)`` values, and of their checksums, in a file."""

    rows: int
    width: int
    dtype: np.dtype
    start: int
    """First byte of the first block."""
    stride: int
    """Bytes from the beginning of a block to the beginning of the next."""
    crc_start: int
    """First byte of the checksum (CRC-32C, little-endian) of the first block."""
    crc_stride: int
    """Bytes from a checksum to the next."""
    nbytes: int
    """Bytes of the file."""

    @property
    def block_columns(self) -> int:
        """Columns of a block."""
        return choose_block_columns(self.width)

    @property
    def n_blocks(self) -> int:
        """Blocks of the file."""
        return self.width // self.block_columns

    @property
    def row_nbytes(self) -> int:
        """Bytes of one row of a block."""
        return self.block_columns * self.dtype.itemsize

    def values(self, file: np.ndarray) -> np.ndarray:
        """View the bytes of a file as values, ``(n_blocks, rows, block_columns)``."""
        shape = (self.n_blocks, self.rows, self.block_columns)
        return np.ndarray(shape, self.dtype, file, self.start, (self.stride, self.row_nbytes, self.dtype.itemsize))

    def checksums(self, file: np.ndarray) -> np.ndarray:
        """View the checksums in the bytes of a file as uint8, ``(n_blocks, 4)``."""
        return np.ndarray((self.n_blocks, CRC_BYTES), np.uint8, file, self.crc_start, (self.crc_stride, 1))

    def span(self, block: int, rows: slice) -> Span:
        """Return the first byte of a span of rows of a block, and the byte after its last."""
        first = self.start + block * self.stride
        return first + rows.start * self.row_nbytes, first + rows.stop * self.row_nbytes

    def checksum_span(self, block: int) -> Span:
        """Return the first byte of the checksum of a block, and the byte after its last."""
        first = self.crc_start + block * self.crc_stride
        return first, first + CRC_BYTES


def pack_blocks(layout: BlockLayout, values: np.ndarray) -> np.ndarray:
    """Return the bytes of a file with its blocks and checksums; the encoding sets all other bytes.

    Parameters
    ----------
    layout : BlockLayout
        Offsets of the blocks.
    values : np.ndarray
        ``(n, width)`` of the layout's dtype with ``n <= layout.rows``; missing rows become zeros.

    Returns
    -------
    np.ndarray
        uint8, ``(layout.nbytes,)``.
    """
    file = np.empty(layout.nbytes, np.uint8)
    stored = layout.values(file)
    stored[:, : len(values)] = values.reshape(len(values), layout.n_blocks, -1).swapaxes(0, 1)
    stored[:, len(values) :] = 0
    for block, checksum in zip(stored, layout.checksums(file), strict=True):
        checksum[:] = np.frombuffer(crc32c(block), np.uint8)
    return file


def read_blocks(
    path: StorePath, layout: BlockLayout, blocks: Sequence[int], rows: slice, check: bool
) -> Iterator[np.ndarray]:
    """Yield a span of rows of some blocks of a file.

    Parameters
    ----------
    path : StorePath
        The file; a local file is mapped and not copied.
    layout : BlockLayout
        Offsets of the blocks in the file.
    blocks : Sequence[int]
        Numbers of the blocks.
    rows : slice
        Rows within the part, from ``start`` to ``stop``.
    check : bool
        Whether to compare the blocks with their checksums, for which ``rows`` must be all rows.

    Yields
    ------
    np.ndarray
        ``(rows, layout.block_columns)`` of the layout's dtype.

    Raises
    ------
    CorruptStoreError
        When the file is missing or too short, or a checked block is damaged.
    """
    checked = blocks if check else []
    spans = [*map(layout.checksum_span, checked), *(layout.span(block, rows) for block in blocks)]
    try:
        pieces = read_ranges(path, spans)
        checksums = [next(pieces) for _ in checked]
        for place, (block, piece) in enumerate(zip(blocks, pieces, strict=True)):
            if check and crc32c(piece) != checksums[place].tobytes():
                raise damaged(path, f"the checksum of column block {block} differs")
            yield piece.view(layout.dtype).reshape(-1, layout.block_columns)
    except FileNotFoundError as error:
        raise damaged(path, "the file is missing") from error


def crc32c(data: np.ndarray) -> bytes:
    """Return the CRC-32C of the bytes of an array, in the byte order of the files."""
    return google_crc32c.value(cast(bytes, data)).to_bytes(CRC_BYTES, "little")


def damaged(path: StorePath, what: str) -> CorruptStoreError:
    """Return the error for a damaged file of a part."""
    return CorruptStoreError(f"{path} is damaged: {what}. {REPAIR}")
