"""A zarr store is read by zarr."""

import numpy as np
import pytest
import zarr
from upath import UPath

from probing_datasets.foundation.errors import CorruptStoreError
from sparse_probing.activations.stores import ZarrStore
from sparse_probing.activations.stores.plan import StorePlan
from tests.builders.harvests import HOOK
from tests.builders.stores import SMALL_PLAN, layer_values, write_store


def make(path, precision, width=509, parts=(0, 1, 2)):
    plan = StorePlan({}, (0, 11), (HOOK,), {HOOK: width}, 10, 4, precision)
    store = ZarrStore.create(path, plan, np.arange(10), np.arange(10))
    generator = np.random.default_rng(0)
    itemsize = plan.stored_dtype.itemsize
    data = {
        layer: np.frombuffer(generator.bytes(10 * width * itemsize), plan.stored_dtype).reshape(10, width)
        for layer in plan.layers
    }
    for part in parts:
        rows = slice(*plan.part_range(part))
        store.write_part(part, {(HOOK, layer): values[rows] for layer, values in data.items()})
    return data


@pytest.mark.parametrize("width", [1, 7, 48, 509])
@pytest.mark.parametrize(("precision", "dtype"), [("16", "float16"), ("32", "float32"), ("bf16", "uint16")])
def test_zarr_python_reads_every_bit(tmp_path, precision, dtype, width):
    data = make(tmp_path, precision, width)
    for layer, name in ((0, "layer_00"), (11, "layer_11")):
        array = zarr.open_array(tmp_path / HOOK / name, mode="r")
        assert array.dtype == dtype
        assert np.asarray(array[:]).tobytes() == data[layer].tobytes()
        assert np.asarray(array[:, width - 1]).tobytes() == data[layer][:, width - 1].tobytes()
        assert array.attrs.asdict() == {
            "hook_point": HOOK,
            "layer": layer,
            **({"bits_of": "bfloat16"} if precision == "bf16" else {}),
        }


def test_store_is_a_zarr_group(tmp_path):
    data = make(tmp_path, "32")
    arrays = dict(zarr.open_group(tmp_path, path=HOOK, mode="r").arrays())
    assert sorted(arrays) == ["layer_00", "layer_11"]
    assert arrays["layer_00"].metadata.to_dict()["dimension_names"] == ("row", "neuron")
    assert np.asarray(arrays["layer_11"][4:9]).tobytes() == data[11][4:9].tobytes()


def test_codes_are_decoded_as_their_attributes_say(tmp_path):
    plan = StorePlan({}, (0,), (HOOK,), {HOOK: 40}, 10, 4, "8")
    store = ZarrStore.create(tmp_path, plan, np.arange(10), np.arange(10))
    data = np.random.default_rng(0).standard_normal((10, 40)).astype(np.float32)
    for part in (0, 1):
        store.write_part(part, {(HOOK, 0): data[slice(*plan.part_range(part))]})
    group = dict(zarr.open_group(tmp_path, path=HOOK, mode="r").arrays())
    codes, scale, offset = (group[f"layer_00{name}"] for name in ("", "_scale", "_offset"))
    assert codes.attrs["value"] == "offset + scale * code"
    assert np.isnan(np.asarray(scale[2:])).all()
    store.write_part(2, {(HOOK, 0): data[8:]})
    block = np.arange(10) // codes.attrs["block_rows"]
    decoded = np.asarray(offset[:])[block] + np.asarray(scale[:])[block] * np.asarray(codes[:])
    assert np.allclose(decoded, store.read(0), atol=1e-6)
    assert 0 < np.abs(decoded - data).max() <= np.asarray(scale[:]).max() / 2 + 1e-6


@pytest.mark.parametrize("precision", ["16", "32", "bf16"])
def test_missing_parts_read_as_nan(tmp_path, precision):
    make(tmp_path, precision, parts=(0,))
    missing = np.asarray(zarr.open_array(tmp_path / HOOK / "layer_00", mode="r")[4:])
    if precision == "bf16":
        missing = (missing.astype(np.uint32) << 16).view(np.float32)
    assert np.isnan(missing).all()


def test_last_part_is_a_full_shard(tmp_path):
    make(tmp_path, "16")
    sizes = {path.stat().st_size for path in tmp_path.rglob("c.*")}
    assert len(list(tmp_path.rglob("c.*"))) == 6
    assert sizes == {4 * 509 * 2 + 4 + 16 + 4}


def test_the_group_of_a_store_is_that_of_plain_zarr_and_gives_the_numbers_of_the_store(tmp_path):
    store = write_store(tmp_path / "store")
    plain, group = zarr.open_group(tmp_path / "store", mode="r"), store.zarr_group()
    for layer in (0, 3):
        expected = layer_values(SMALL_PLAN, layer)
        for root in (plain, group):
            assert np.array_equal(np.asarray(root[f"{HOOK}/layer_{layer:02d}"][:]), expected)
        assert np.array_equal(store.layer(layer), expected)
    with pytest.raises(ValueError, match="read-only"):
        group[f"{HOOK}/layer_00"][0] = 1


def test_a_group_with_other_codecs_than_the_plan_has_is_not_opened(tmp_path):
    store = write_store(tmp_path / "store")
    path = store.path / HOOK / "layer_00" / "zarr.json"
    path.write_text(path.read_text().replace("crc32c", "zstd"))
    with pytest.raises(CorruptStoreError, match=r"zarr.json is not what the plan says"):
        store.zarr_group()


def test_zarr_opens_a_remote_store(tmp_path):
    store = write_store(UPath("memory://test_zarr_group/store"))
    assert np.array_equal(store.zarr_group()[f"{HOOK}/layer_03"][:], layer_values(SMALL_PLAN, 3))
