"""Zarr v3 shards: one part of one layer as one uncompressed file.

A shard holds all columns of a range of rows. Inside, blocks of neighbouring columns lie
one after the other, each row-major and followed by its CRC-32C; an index of offsets and
lengths closes the file. Plain zarr readers understand it. As nothing is compressed, every
block lies at a known offset, so that reading is a memory map and a copy.

References
----------
Zarr v3 specification, codecs ``sharding_indexed``, ``bytes`` and ``crc32c``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import google_crc32c
import numpy as np

from probing_datasets.foundation.errors import CorruptStoreError

CRC_BYTES = 4
INDEX_ENTRY_BYTES = 16
FEWEST_CHUNK_COLUMNS = 16
MOST_CHUNKS = 128


def choose_chunk_columns(width: int) -> int:
    """Return the columns of an inner chunk: the smallest divisor of ``width`` that gives large enough chunks.

    At least 16 columns and at most 128 chunks keep both whole-layer and few-column reads
    fast. A width without such a divisor (a prime) becomes a single chunk.

    Examples
    --------
    >>> [choose_chunk_columns(width) for width in (8192, 2048, 768, 509, 7)]
    [64, 16, 16, 509, 7]
    """
    target = min(width, max(FEWEST_CHUNK_COLUMNS, -(-width // MOST_CHUNKS)))
    return next(columns for columns in range(target, width + 1) if width % columns == 0)


@dataclass(frozen=True)
class ShardLayout:
    """Where everything lies in a shard of ``(rows, width)`` values."""

    rows: int
    width: int
    dtype: np.dtype

    @property
    def chunk_columns(self) -> int:
        """Columns of an inner chunk."""
        return choose_chunk_columns(self.width)

    @property
    def n_chunks(self) -> int:
        """Inner chunks of the shard."""
        return self.width // self.chunk_columns

    @property
    def chunk_nbytes(self) -> int:
        """Bytes of an inner chunk with its checksum."""
        return self.rows * self.chunk_columns * self.dtype.itemsize + CRC_BYTES

    @property
    def nbytes(self) -> int:
        """Bytes of the file."""
        return self.n_chunks * (self.chunk_nbytes + INDEX_ENTRY_BYTES) + CRC_BYTES

    def chunks(self, shard: np.ndarray) -> np.ndarray:
        """View the bytes of a shard as uint8 chunks with their checksums, ``(n_chunks, chunk_nbytes)``."""
        return shard[: self.n_chunks * self.chunk_nbytes].reshape(self.n_chunks, self.chunk_nbytes)

    def values(self, shard: np.ndarray) -> np.ndarray:
        """View the bytes of a shard as values, ``(n_chunks, rows, chunk_columns)``."""
        payload = self.chunks(shard)[:, :-CRC_BYTES]
        return payload.view(self.dtype).reshape(self.n_chunks, self.rows, self.chunk_columns)


def encode_shard(layout: ShardLayout, values: np.ndarray) -> np.ndarray:
    """Return the bytes of a shard.

    Parameters
    ----------
    layout : ShardLayout
        Shape and dtype of the shard.
    values : np.ndarray
        ``(n, width)`` of the layout's dtype with ``n <= layout.rows``; missing rows become zeros.

    Returns
    -------
    np.ndarray
        uint8, ``(layout.nbytes,)``.
    """
    shard = np.empty(layout.nbytes, np.uint8)
    stored = layout.values(shard)
    stored[:, : len(values)] = values.reshape(len(values), layout.n_chunks, -1).swapaxes(0, 1)
    stored[:, len(values) :] = 0
    for chunk in layout.chunks(shard):
        chunk[-CRC_BYTES:] = _crc(chunk[:-CRC_BYTES])
    _fill_index(layout, shard[layout.n_chunks * layout.chunk_nbytes :])
    return shard


def read_shard(
    layout: ShardLayout, path: Path, rows: slice, columns: np.ndarray | None, out: np.ndarray, check: bool
) -> None:
    """Copy a span of rows, and all or some columns, of a shard into ``out``.

    Parameters
    ----------
    layout : ShardLayout
        Shape and dtype of the shard.
    path : Path
        The shard file; it is memory-mapped and only the chunks of the columns are touched.
    rows : slice
        Rows within the shard.
    columns : np.ndarray or None
        Columns in the order of ``out``; None means all.
    out : np.ndarray
        ``(rows, columns)`` of any dtype that the stored values convert to.
    check : bool
        Whether to compare the touched chunks with their CRC-32C, for which they are read whole.

    Raises
    ------
    CorruptStoreError
        When the file is missing, has another length, or a checked chunk is damaged.
    """
    shard = _map_shard(layout, path)
    values, chunks = layout.values(shard), layout.chunks(shard)
    for chunk, inside, outside in _pieces(layout, columns):
        if check and not np.array_equal(_crc(chunks[chunk, :-CRC_BYTES]), chunks[chunk, -CRC_BYTES:]):
            raise _damaged(path, f"the checksum of column block {chunk} differs")
        out[:, outside] = values[chunk, rows][:, inside]


def _pieces(layout: ShardLayout, columns: np.ndarray | None) -> Iterator[tuple[int, Any, Any]]:
    """Yield ``(chunk, columns within the chunk, columns within the result)``."""
    if columns is None:
        for chunk in range(layout.n_chunks):
            first = chunk * layout.chunk_columns
            yield chunk, slice(None), slice(first, first + layout.chunk_columns)
        return
    chunk_of, column_in = np.divmod(columns, layout.chunk_columns)
    for chunk in np.unique(chunk_of).tolist():
        places = np.flatnonzero(chunk_of == chunk)
        yield chunk, column_in[places], places


def _fill_index(layout: ShardLayout, index: np.ndarray) -> None:
    entries = np.empty((layout.n_chunks, 2), "<u8")
    entries[:, 0] = np.arange(layout.n_chunks) * layout.chunk_nbytes
    entries[:, 1] = layout.chunk_nbytes
    index[:-CRC_BYTES] = entries.reshape(-1).view(np.uint8)
    index[-CRC_BYTES:] = _crc(index[:-CRC_BYTES])


def _crc(data: np.ndarray) -> np.ndarray:
    value = google_crc32c.value(cast(bytes, data))
    return np.frombuffer(value.to_bytes(CRC_BYTES, "little"), np.uint8)


def _map_shard(layout: ShardLayout, path: Path) -> np.ndarray:
    try:
        size = path.stat().st_size
    except FileNotFoundError as error:
        raise _damaged(path, "the file is missing") from error
    if size != layout.nbytes:
        raise _damaged(path, f"it has {size} bytes instead of {layout.nbytes}")
    return np.asarray(np.memmap(path, np.uint8, "r"))


def _damaged(path: Path, what: str) -> CorruptStoreError:
    return CorruptStoreError(
        f"{path} is damaged: {what}. Run get_activations.py with the settings of the store: "
        "it writes the damaged parts again."
    )
