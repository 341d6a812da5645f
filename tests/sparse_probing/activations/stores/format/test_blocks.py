"""Column blocks: their layout, their checksums, and reading some of them."""

import tempfile
from pathlib import Path

import google_crc32c
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probing_datasets.foundation.errors import CorruptStoreError
from sparse_probing.activations.stores.format.blocks import choose_block_columns, pack_blocks, read_blocks
from sparse_probing.activations.stores.format.hdf5_parts import hdf5_layout
from sparse_probing.activations.stores.format.shard_bytes import shard_layout
from tests.builders.stores import random_bits

LAYOUTS = {"zarr": shard_layout, "hdf5": hdf5_layout}
DTYPES = st.sampled_from([np.dtype("u1"), np.dtype("<f2"), np.dtype("<f4"), np.dtype("<u2")])


def read(path, layout, blocks, rows, check=False):
    return np.concatenate(list(read_blocks(path, layout, blocks, rows, check)), axis=1)


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
def test_block_columns(width, columns):
    assert choose_block_columns(width) == columns


@given(st.integers(1, 20_000))
def test_blocks_tile_the_width(width):
    columns = choose_block_columns(width)
    assert width % columns == 0
    assert columns >= min(16, width)
    assert width // columns <= 128


@settings(max_examples=60)
@given(data=st.data(), rows=st.integers(1, 50), width=st.integers(1, 80), dtype=DTYPES)
@pytest.mark.parametrize("name", LAYOUTS)
def test_spans_of_blocks_equal_slices(name, data, rows, width, dtype):
    layout = LAYOUTS[name](rows, width, dtype)
    values = random_bits((rows, width), dtype)
    start = data.draw(st.integers(0, rows - 1))
    stop = data.draw(st.integers(start + 1, rows))
    blocks = data.draw(st.lists(st.integers(0, layout.n_blocks - 1), min_size=1, max_size=6))
    columns = np.concatenate([np.arange(layout.block_columns) + b * layout.block_columns for b in blocks])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file"
        path.write_bytes(pack_blocks(layout, values).tobytes())
        found = read(path, layout, blocks, slice(start, stop))
        checked = read(path, layout, blocks, slice(0, rows), check=True)
    assert found.tobytes() == values[start:stop, columns].tobytes()
    assert checked.tobytes() == values[:, columns].tobytes()


@pytest.mark.parametrize("name", LAYOUTS)
def test_checksums_are_those_of_the_blocks(name):
    layout = LAYOUTS[name](5, 32, np.dtype("<f4"))
    values = random_bits((5, 32), layout.dtype)
    found = layout.checksums(pack_blocks(layout, values))
    expected = [google_crc32c.value(values[:, columns].tobytes()) for columns in (slice(0, 16), slice(16, 32))]
    assert [int.from_bytes(checksum.tobytes(), "little") for checksum in found] == expected


@pytest.fixture(params=LAYOUTS)
def damaged(request, tmp_path):
    """A file with one flipped bit in its second column block of 16."""
    layout = LAYOUTS[request.param](8, 48, np.dtype("<f4"))
    values = random_bits((8, 48), layout.dtype)
    data = pack_blocks(layout, values)
    data[layout.start + layout.stride + 5] ^= 1
    (tmp_path / "file").write_bytes(data.tobytes())
    return layout, tmp_path / "file", values


def test_damage_in_a_checked_block_is_found(damaged):
    layout, path, values = damaged
    with pytest.raises(CorruptStoreError, match="checksum of column block 1 differs"):
        read(path, layout, [0, 1], slice(0, 8), check=True)
    assert read(path, layout, [0, 2], slice(0, 8), check=True).tobytes() == values[:, np.r_[0:16, 32:48]].tobytes()
    assert read(path, layout, [1], slice(0, 8)).tobytes() != values[:, 16:32].tobytes()


def test_truncated_and_missing_files(damaged):
    layout, path, _ = damaged
    path.write_bytes(path.read_bytes()[: layout.span(2, slice(0, 8))[1] - 1])
    assert read(path, layout, [0], slice(0, 8)).shape == (8, 16)
    with pytest.raises(CorruptStoreError, match="file is damaged: it ends before byte"):
        read(path, layout, [0, 2], slice(0, 8))
    path.unlink()
    with pytest.raises(CorruptStoreError, match=r"the file is missing.*writes the damaged parts again"):
        read(path, layout, [0], slice(0, 8))


def test_reading_copies_nothing_of_a_local_file(damaged):
    layout, path, _ = damaged
    first, last = read_blocks(path, layout, [0, 2], slice(2, 5), check=False)
    assert not first.flags.owndata
    distance = last.__array_interface__["data"][0] - first.__array_interface__["data"][0]
    assert distance == 2 * layout.stride
