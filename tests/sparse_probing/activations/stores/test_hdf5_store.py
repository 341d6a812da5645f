"""An HDF5 store is read by h5py."""

import time

import h5py
import numpy as np
import pytest

from sparse_probing.activations.stores import HDF5Store
from sparse_probing.activations.stores.plan import StorePlan
from tests.builders.harvests import HOOK


def make(path, precision, width=40, parts=(0, 1, 2)):
    plan = StorePlan({}, (0, 11), (HOOK,), {HOOK: width}, 10, 4, precision)
    store = HDF5Store.create(path, plan, np.arange(10), np.arange(10))
    generator = np.random.default_rng(0)
    data = {layer: generator.integers(0, 99, (10, width)).astype(plan.buffer_dtype) for layer in plan.layers}
    for part in parts:
        rows = slice(*plan.part_range(part))
        store.write_part(part, {(HOOK, layer): values[rows] for layer, values in data.items()})
    return store, data


@pytest.mark.parametrize("width", [1, 7, 48])
@pytest.mark.parametrize(("precision", "dtype"), [("16", "float16"), ("32", "float32"), ("bf16", "uint16")])
def test_h5py_reads_whole_layers(tmp_path, precision, dtype, width):
    _, data = make(tmp_path, precision, width)
    with h5py.File(tmp_path / "activations.h5") as file:
        assert sorted(file[HOOK]) == ["layer_00", "layer_11"]
        for layer, name in ((0, "layer_00"), (11, "layer_11")):
            dataset = file[HOOK][name]
            assert dataset.dtype == dtype
            assert np.array_equal(dataset[:], data[layer])
            assert np.array_equal(dataset[3:9, width - 1], data[layer][3:9, width - 1])
            bits_of = {"bits_of": "bfloat16"} if precision == "bf16" else {}
            assert dict(dataset.attrs) == {"hook_point": HOOK, "layer": layer, **bits_of}


def test_codes_are_decoded_as_their_attributes_say(tmp_path):
    store, data = make(tmp_path, "8")
    with h5py.File(tmp_path / "activations.h5") as file:
        codes, scale, offset = (file[HOOK][f"layer_00{name}"] for name in ("", "_scale", "_offset"))
        assert codes.attrs["value"] == "offset + scale * code"
        block = np.arange(10) // codes.attrs["block_rows"]
        decoded = offset[:][block] + scale[:][block] * codes[:]
    assert np.allclose(decoded, store.read(0), rtol=1e-6)
    assert np.abs(decoded - data[0]).max() <= 99 / 255 / 2 + 1e-4


@pytest.mark.parametrize("precision", ["8", "16", "32", "bf16"])
def test_missing_parts_read_as_nan(tmp_path, precision):
    _, data = make(tmp_path, precision, parts=(0,))
    with h5py.File(tmp_path / "activations.h5") as file:
        name = "layer_00_scale" if precision == "8" else "layer_00"
        present, missing = np.split(file[HOOK][name][:], [1 if precision == "8" else 4])
    if precision == "bf16":
        missing = (missing.astype(np.uint32) << 16).view(np.float32)
    assert np.isnan(missing).all()
    assert missing.size
    assert not np.isnan(present).any()


def test_one_file_for_each_hook_point_layer_and_part(tmp_path):
    make(tmp_path, "16")
    names = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.h5")}
    parts = {f"{HOOK}/layer_{layer}/00000{part}.h5" for layer in ("00", "11") for part in range(3)}
    assert names == {"activations.h5", *parts}


def test_metadata_does_not_depend_on_the_time():
    plan = StorePlan({}, (0, 1), (HOOK,), {HOOK: 33}, 10, 4, "8")
    first = HDF5Store._metadata(plan)
    time.sleep(1.1)
    assert HDF5Store._metadata(plan) == first
