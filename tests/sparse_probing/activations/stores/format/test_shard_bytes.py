"""Shards of the zarr encoding are read by zarr."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from zarr.codecs import Crc32cCodec

from sparse_probing.activations.stores.format.shard_bytes import encode_shard, shard_layout
from tests.builders.stores import random_bits

DTYPES = st.sampled_from([np.dtype("u1"), np.dtype("<f2"), np.dtype("<f4"), np.dtype("<u2")])


def zarr_shard(folder, layout):
    """Let zarr-python describe one shard, independently of the store's own metadata."""
    return zarr.create_array(
        folder,
        shape=(layout.rows, layout.width),
        dtype=layout.dtype,
        shards=(layout.rows, layout.width),
        chunks=(layout.rows, layout.block_columns),
        compressors=Crc32cCodec(),
        filters=None,
        fill_value=0,
    )


@settings(max_examples=40)
@given(rows=st.integers(1, 70), width=st.integers(1, 70), missing=st.integers(0, 69), dtype=DTYPES)
def test_zarr_reads_the_values_and_zeros_below(rows, width, missing, dtype):
    layout = shard_layout(rows, width, dtype)
    values = random_bits((max(rows - missing, 1), width), dtype)
    padded = np.zeros((rows, width), dtype)
    padded[: len(values)] = values
    data = encode_shard(layout, values).tobytes()
    assert len(data) == layout.nbytes
    with tempfile.TemporaryDirectory() as folder:
        array = zarr_shard(Path(folder) / "array", layout)
        shard = Path(folder) / "array/c/0/0"
        shard.parent.mkdir(parents=True)
        shard.write_bytes(data)
        assert np.asarray(array[:]).tobytes() == padded.tobytes()


@pytest.mark.parametrize("width", [1, 7, 32, 509, 640])
def test_zarr_writes_the_same_bytes(tmp_path, width):
    layout = shard_layout(20, width, np.dtype("<f4"))
    values = random_bits((20, width), layout.dtype)
    zarr_shard(tmp_path / "array", layout)[:] = values
    assert (tmp_path / "array/c/0/0").read_bytes() == encode_shard(layout, values).tobytes()


def test_zarr_finds_damage_in_the_block_it_reads(tmp_path):
    layout = shard_layout(8, 48, np.dtype("<f4"))
    data = encode_shard(layout, random_bits((8, 48), layout.dtype))
    data[layout.stride + 5] ^= 1
    array = zarr_shard(tmp_path / "array", layout)
    (tmp_path / "array/c/0").mkdir(parents=True)
    (tmp_path / "array/c/0/0").write_bytes(data.tobytes())
    with pytest.raises(ValueError, match="checksum"):
        array[:, 20]
    array[:, 0]


def test_blocks_lie_one_after_the_other():
    layout = shard_layout(2, 32, np.dtype("<u2"))
    data = encode_shard(layout, np.arange(64, dtype="<u2").reshape(2, 32)).tobytes()
    index = np.frombuffer(data[-36:-4], "<u8").reshape(2, 2)
    assert index.tolist() == [[0, 68], [68, 68]]
    assert np.frombuffer(data[68:132], "<u2").reshape(2, 16).tolist() == [
        list(range(16, 32)),
        list(range(48, 64)),
    ]
