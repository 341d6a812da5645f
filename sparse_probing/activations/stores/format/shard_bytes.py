"""Zarr v3 shards: one part of one array as one uncompressed file.

A shard holds all columns of a range of rows: column blocks one after the other, each followed
by its CRC-32C, and at the end of the file an index of offsets and lengths. Any zarr v3 reader
can read it.

References
----------
Zarr v3 specification, codecs ``sharding_indexed``, ``bytes`` and ``crc32c``.
"""

from __future__ import annotations

import numpy as np

from sparse_probing.activations.stores.format.blocks import (
    CRC_BYTES,
    BlockLayout,
    choose_block_columns,
    crc32c,
    pack_blocks,
)

INDEX_ENTRY_BYTES = 16


def shard_layout(rows: int, width: int, dtype: np.dtype) -> BlockLayout:
    """Return the offsets of blocks and checksums in a shard of ``(rows, width)`` values."""
    block_columns = choose_block_columns(width)
    n_blocks, nbytes = width // block_columns, rows * block_columns * dtype.itemsize
    return BlockLayout(
        rows,
        width,
        dtype,
        start=0,
        stride=nbytes + CRC_BYTES,
        crc_start=nbytes,
        crc_stride=nbytes + CRC_BYTES,
        nbytes=n_blocks * (nbytes + CRC_BYTES + INDEX_ENTRY_BYTES) + CRC_BYTES,
    )


def encode_shard(layout: BlockLayout, values: np.ndarray) -> np.ndarray:
    """Return the bytes of a shard: uint8, ``(layout.nbytes,)``.

    Parameters
    ----------
    layout : BlockLayout
        From :func:`shard_layout`.
    values : np.ndarray
        ``(n, width)`` of the layout's dtype with ``n <= layout.rows``; missing rows become zeros.
    """
    shard = pack_blocks(layout, values)
    index = shard[layout.n_blocks * layout.stride :]
    entries = np.empty((layout.n_blocks, 2), "<u8")
    entries[:, 0] = np.arange(layout.n_blocks) * layout.stride
    entries[:, 1] = layout.stride
    index[:-CRC_BYTES] = entries.reshape(-1).view(np.uint8)
    index[-CRC_BYTES:] = np.frombuffer(crc32c(index[:-CRC_BYTES]), np.uint8)
    return shard
