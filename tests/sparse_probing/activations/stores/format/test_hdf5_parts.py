"""Files of the HDF5 encoding are read by h5py, and have the offsets of their layout."""

import io
import subprocess
import sys
from pathlib import Path

import google_crc32c
import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probing_datasets.foundation.errors import StoreError
from sparse_probing.activations.stores.format import hdf5_parts
from sparse_probing.activations.stores.format.hdf5_parts import encode_hdf5, hdf5_layout
from tests.builders.stores import random_bits

REPOSITORY = Path(__file__).parents[5]
DTYPES = st.sampled_from([np.dtype("u1"), np.dtype("<f2"), np.dtype("<f4"), np.dtype("<u2")])


@settings(max_examples=60)
@given(rows=st.integers(1, 300), width=st.integers(1, 300), missing=st.integers(0, 69), dtype=DTYPES)
def test_h5py_reads_the_values_and_zeros_below(rows, width, missing, dtype):
    layout = hdf5_layout(rows, width, dtype)
    values = random_bits((max(rows - missing, 1), width), dtype)
    data = encode_hdf5(layout, values).tobytes()
    assert len(data) == layout.nbytes
    with h5py.File(io.BytesIO(data)) as file:
        assert sorted(file) == ["crc32c", "values"]
        assert file["values"].dtype == dtype
        assert file["values"].chunks == (rows, layout.block_columns)
        found = file["values"][:]
    assert found[: len(values)].tobytes() == values.tobytes()
    assert not found[len(values) :].view(np.uint8).any()


@pytest.mark.parametrize(("rows", "width"), [(4096, 1024), (2, 16384), (16, 8192)])
def test_checksums_of_the_chunks_lie_beside(rows, width):
    layout = hdf5_layout(rows, width, np.dtype("<f4"))
    values = random_bits((rows, width), layout.dtype)
    with h5py.File(io.BytesIO(encode_hdf5(layout, values).tobytes())) as file:
        columns = file["values"].chunks[1]
        chunks = [values[:, first : first + columns] for first in range(0, width, columns)]
        assert file["crc32c"][:].tolist() == [google_crc32c.value(chunk.tobytes()) for chunk in chunks]


def test_the_same_values_give_the_same_bytes_in_another_process():
    script = """
import sys, numpy as np
from sparse_probing.activations.stores.format.hdf5_parts import encode_hdf5, hdf5_layout
values = np.arange(160, dtype="<f4").reshape(5, 32)
sys.stdout.buffer.write(encode_hdf5(hdf5_layout(7, 32, values.dtype), values).data)
"""
    values = np.arange(160, dtype="<f4").reshape(5, 32)
    other = subprocess.run([sys.executable, "-c", script], cwd=REPOSITORY, capture_output=True, check=True).stdout
    hdf5_parts._head.cache_clear()
    assert encode_hdf5(hdf5_layout(7, 32, values.dtype), values).tobytes() == other
    assert encode_hdf5(hdf5_layout(7, 32, values.dtype), values + 1).tobytes() != other


def test_another_layout_of_the_library_is_noticed(monkeypatch):
    hdf5_parts._head.cache_clear()
    monkeypatch.setattr(hdf5_parts, "HEAD_BYTES", 1024)
    layout = hdf5_layout(3, 5, np.dtype("<f2"))
    with pytest.raises(StoreError, match=f"HDF5 {h5py.version.hdf5_version} lays files out in another way"):
        encode_hdf5(layout, np.zeros((3, 5), "<f2"))
