"""HDF5 parts: one part of one array as one uncompressed file.

The data set ``values``, ``(rows, width)``, is chunked by column blocks, and ``crc32c`` holds the
CRC-32C of every chunk. All space is allocated when a data set is created, so the chunks need no index
and follow one another: a file is its first 2,048 bytes, which the HDF5 library writes and which
depend only on the shape, then the chunks, then the checksums.

References
----------
HDF5 file format specification 3.0, "implicit" chunk index.
"""

from __future__ import annotations

from functools import lru_cache

import h5py
import numpy as np

from probing_datasets.foundation.errors import StoreError
from sparse_probing.activations.stores.format.blocks import CRC_BYTES, BlockLayout, choose_block_columns, pack_blocks

VALUES, CHECKSUMS = "values", "crc32c"
HEAD_BYTES = 2048


def hdf5_layout(rows: int, width: int, dtype: np.dtype) -> BlockLayout:
    """Return the offsets of blocks and checksums in a file of ``(rows, width)`` values."""
    block_columns = choose_block_columns(width)
    end = HEAD_BYTES + rows * width * dtype.itemsize
    return BlockLayout(
        rows,
        width,
        dtype,
        start=HEAD_BYTES,
        stride=rows * block_columns * dtype.itemsize,
        crc_start=end,
        crc_stride=CRC_BYTES,
        nbytes=end + width // block_columns * CRC_BYTES,
    )


def encode_hdf5(layout: BlockLayout, values: np.ndarray) -> np.ndarray:
    """Return the bytes of a file: uint8, ``(layout.nbytes,)``.

    Parameters
    ----------
    layout : BlockLayout
        From :func:`hdf5_layout`.
    values : np.ndarray
        ``(n, width)`` of the layout's dtype with ``n <= layout.rows``; missing rows become zeros.
    """
    file = pack_blocks(layout, values)
    file[:HEAD_BYTES] = np.frombuffer(_head(layout), np.uint8)
    return file


def memory_file() -> h5py.File:
    """Return a new HDF5 file that exists only in memory; its bytes are ``file.id.get_file_image()``."""
    return h5py.File("image", "w", driver="core", backing_store=False, libver=("v110", "v110"), track_times=False)


@lru_cache(maxsize=16)
def _head(layout: BlockLayout) -> bytes:
    with memory_file() as file:
        chunk = (layout.rows, layout.block_columns)
        values = _allocate(file, VALUES, (layout.rows, layout.width), layout.dtype, chunk)
        checksums = _allocate(file, CHECKSUMS, (layout.n_blocks,), np.dtype("<u4"), None)
        file.flush()
        offsets = [values.get_chunk_info(block).byte_offset for block in range(layout.n_blocks)]
        expected = [layout.start + block * layout.stride for block in range(layout.n_blocks)]
        if (offsets, checksums.get_offset()) != (expected, layout.crc_start):
            raise StoreError(
                f"HDF5 {h5py.version.hdf5_version} lays files out in another way than the hdf5 store expects. "
                "Use --store zarr, or the release of h5py in constraints.txt."
            )
        return file.id.get_file_image()[:HEAD_BYTES]


def _allocate(
    file: h5py.File, name: str, shape: tuple[int, ...], dtype: np.dtype, chunk: tuple[int, ...] | None
) -> h5py.h5d.DatasetID:
    """Create a data set whose space is reserved at once and never filled: a plain h5py call would fill it later."""
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    properties.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    properties.set_obj_track_times(False)
    if chunk is not None:
        properties.set_chunk(chunk)
    space = h5py.h5s.create_simple(shape)
    return h5py.h5d.create(file.id, name.encode(), h5py.h5t.py_create(dtype), space, properties)
