import tempfile
from pathlib import Path

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from zarr.codecs import Crc32cCodec

from experiments.activations.stores.shards import (
    ShardLayout,
    choose_chunk_columns,
    encode_shard,
    read_shard,
)
from probing_datasets.foundation.errors import CorruptStoreError

DTYPES = st.sampled_from([np.dtype("<f2"), np.dtype("<f4"), np.dtype("<u2")])


def random_bits(shape, dtype, seed=0):
    """Every bit pattern may occur, NaN and infinities included."""
    data = np.random.default_rng(seed).bytes(int(np.prod(shape)) * dtype.itemsize)
    return np.frombuffer(data, dtype).reshape(shape)


def same_bits(left, right):
    return left.shape == right.shape and left.tobytes() == right.tobytes()


def zarr_shard(folder, layout):
    """Let zarr-python describe one shard, independently of the store's own metadata."""
    return zarr.create_array(
        folder,
        shape=(layout.rows, layout.width),
        dtype=layout.dtype,
        shards=(layout.rows, layout.width),
        chunks=(layout.rows, layout.chunk_columns),
        compressors=Crc32cCodec(),
        filters=None,
        fill_value=0,
    )


@pytest.mark.parametrize(
    ("width", "columns"),
    [
        (1, 1),
        (7, 7),
        (16, 16),
        (48, 16),
        (100, 20),
        (509, 509),
        (768, 16),
        (1018, 509),
        (8192, 64),
        (11008, 86),
    ],
)
def test_chunk_columns(width, columns):
    assert choose_chunk_columns(width) == columns


@given(st.integers(1, 20_000))
def test_chunks_tile_the_width(width):
    columns = choose_chunk_columns(width)
    assert width % columns == 0
    assert columns >= min(16, width)
    assert width // columns <= 128


@settings(max_examples=40, deadline=None)
@given(rows=st.integers(1, 70), width=st.integers(1, 70), missing=st.integers(0, 69), dtype=DTYPES)
def test_zarr_reads_the_values_and_zeros_below(rows, width, missing, dtype):
    layout = ShardLayout(rows, width, dtype)
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
        assert same_bits(np.asarray(array[:]), padded)


@pytest.mark.parametrize("width", [1, 7, 32, 509, 640])
def test_zarr_writes_the_same_bytes(tmp_path, width):
    layout = ShardLayout(20, width, np.dtype("<f4"))
    values = random_bits((20, width), layout.dtype)
    zarr_shard(tmp_path / "array", layout)[:] = values
    assert (tmp_path / "array/c/0/0").read_bytes() == encode_shard(layout, values).tobytes()


@settings(max_examples=60, deadline=None)
@given(data=st.data(), rows=st.integers(1, 50), width=st.integers(1, 80), dtype=DTYPES)
def test_spans_and_columns_equal_slices(data, rows, width, dtype):
    layout = ShardLayout(rows, width, dtype)
    values = random_bits((rows, width), dtype)
    start = data.draw(st.integers(0, rows))
    stop = data.draw(st.integers(start, rows))
    columns = np.array(data.draw(st.lists(st.integers(0, width - 1), max_size=9)), np.int64)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "shard"
        path.write_bytes(encode_shard(layout, values).tobytes())
        whole = np.empty((stop - start, width), dtype)
        read_shard(layout, path, slice(start, stop), None, whole, check=True)
        some = np.empty((stop - start, len(columns)), dtype)
        read_shard(layout, path, slice(start, stop), columns, some, check=True)
    assert same_bits(whole, values[start:stop])
    assert same_bits(some, values[start:stop][:, columns])


@pytest.fixture
def damaged(tmp_path):
    """A shard with one flipped bit in its second column block of 16."""
    layout = ShardLayout(8, 48, np.dtype("<f4"))
    values = random_bits((8, 48), layout.dtype)
    data = encode_shard(layout, values)
    data[layout.chunk_nbytes + 5] ^= 1
    (tmp_path / "shard").write_bytes(data.tobytes())
    return layout, tmp_path / "shard", values


def test_damage_in_a_touched_block_is_found(damaged):
    layout, path, values = damaged
    with pytest.raises(CorruptStoreError, match="checksum of column block 1 differs"):
        read_shard(layout, path, slice(0, 8), np.array([20]), np.empty((8, 1)), check=True)
    out = np.empty((8, 32), layout.dtype)
    elsewhere = np.r_[0:16, 32:48]
    read_shard(layout, path, slice(0, 8), elsewhere, out, check=True)
    assert same_bits(out, values[:, elsewhere])


def test_zarr_finds_the_same_damage(damaged, tmp_path):
    layout, path, _ = damaged
    array = zarr_shard(tmp_path / "array", layout)
    (tmp_path / "array/c/0").mkdir(parents=True)
    path.rename(tmp_path / "array/c/0/0")
    with pytest.raises(ValueError, match="checksum"):
        array[:, 20]
    array[:, 0]


def test_truncated_and_missing_files(damaged):
    layout, path, _ = damaged
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(CorruptStoreError, match=f"{layout.nbytes - 1} bytes instead of {layout.nbytes}"):
        read_shard(layout, path, slice(0, 8), None, np.empty((8, 48)), check=False)
    path.unlink()
    with pytest.raises(CorruptStoreError, match=r"the file is missing.*writes the damaged parts again"):
        read_shard(layout, path, slice(0, 8), None, np.empty((8, 48)), check=False)


def test_chunks_lie_one_after_the_other():
    layout = ShardLayout(2, 32, np.dtype("<u2"))
    data = encode_shard(layout, np.arange(64, dtype="<u2").reshape(2, 32)).tobytes()
    index = np.frombuffer(data[-36:-4], "<u8").reshape(2, 2)
    assert index.tolist() == [[0, 68], [68, 68]]
    assert np.frombuffer(data[68:132], "<u2").reshape(2, 16).tolist() == [
        list(range(16, 32)),
        list(range(48, 64)),
    ]
