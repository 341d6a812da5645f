"""Copying a store into another encoding or precision."""

import dataclasses

import numpy as np
import pytest

from probing_datasets.foundation.errors import ActivationError, StoreError
from sparse_probing.activations.store_operations.convert import convert
from sparse_probing.activations.stores import STORES, open_store
from sparse_probing.activations.stores.manifest.provenance import read_provenance, write_provenance
from sparse_probing.activations.stores.storage.files import file_sizes
from tests.builders.harvests import HOOK

PRECISIONS = ("8", "16", "32", "bf16")


def rounded(values, precision):
    """What a store of a precision must give back for float32 values, and how far it may be off."""
    if precision == "16":
        return values.astype(np.float16).astype(np.float32), 0
    if precision == "bf16":
        bits = values.view(np.uint32).astype(np.uint64)
        nearest_even = (bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000
        return nearest_even.astype(np.uint32).view(np.float32), 0
    return values, np.ptp(values) / 255 / 2 * 1.001 if precision == "8" else 0


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("kind", STORES)
@pytest.mark.parametrize("source_kind", STORES)
def test_values_are_rounded_once(tmp_path, make_store, values_of, source_kind, kind, precision):
    source = make_store(tmp_path / "source", source_kind)
    store = convert(source, tmp_path / "copy", kind, precision)
    assert open_store(tmp_path / "copy").kind == kind
    assert store.plan.precision == precision
    assert store.verify() == []
    for layer in source.plan.layers:
        expected, tolerance = rounded(values_of(source.plan, layer), precision)
        np.testing.assert_allclose(store.read(layer, dtype=np.float32), expected, rtol=0, atol=tolerance)
    assert np.array_equal(store.rows, source.rows)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_another_encoding_keeps_every_value(tmp_path, make_store, values_of, precision):
    first = convert(make_store(tmp_path / "32"), tmp_path / "first", "zarr", precision)
    second = convert(first, tmp_path / "second", "hdf5")
    assert second.plan.precision == precision
    for layer in first.plan.layers:
        values = first.read(layer, dtype=np.float32)
        step = 1e-6 if precision == "8" else 0
        np.testing.assert_allclose(second.read(layer, dtype=np.float32), values, rtol=0, atol=step)


def test_wider_precision_is_exact(tmp_path, make_store):
    half = convert(make_store(tmp_path / "32"), tmp_path / "16", "zarr", "16")
    wide = convert(half, tmp_path / "again", "zarr", "32")
    assert np.array_equal(wide.read(3, dtype=np.float32), half.read(3, dtype=np.float32))


def test_the_fingerprint_records_the_source(tmp_path, make_store):
    source = make_store(tmp_path / "source")
    write_provenance(source.path, {"seed": 7})
    half = convert(source, tmp_path / "half", "zarr", "16")
    fingerprint = half.plan.fingerprint
    assert {key: fingerprint[key] for key in source.plan.fingerprint} == source.plan.fingerprint
    assert fingerprint["converted_from"] == {"digest": source.digest, "precision": "32"}
    twice = convert(half, tmp_path / "twice", "zarr", "32").plan.fingerprint["converted_from"]
    assert twice == {
        "digest": half.digest,
        "precision": "16",
        "converted_from": {"digest": source.digest, "precision": "32"},
    }
    record = read_provenance(half.path)
    assert record is not None
    assert record["config"]["converted_from"] == str(source.path)
    assert record["config"]["source"]["config"] == {"seed": 7}


def test_an_interrupted_conversion_resumes(tmp_path, make_store):
    source = make_store(tmp_path / "source")
    whole = convert(source, tmp_path / "whole", "hdf5", "16")
    store = convert(source, tmp_path / "copy", "hdf5", "16")
    kept = store.path / next(iter(store._part_files(0)))
    before = kept.stat().st_mtime_ns
    store.discard_part(1)
    resumed = convert(source, tmp_path / "copy", "hdf5", "16")
    assert resumed.is_complete
    assert kept.stat().st_mtime_ns == before
    for layer in source.plan.layers:
        assert np.array_equal(resumed.read(layer), whole.read(layer))


def test_values_out_of_range_of_the_precision_are_refused(tmp_path, make_store):
    source = make_store(tmp_path / "source", parts=[0, 1])
    values = np.ones((2, 33), np.float32)
    values[1, 5] = 65520
    source.write_part(2, {(HOOK, 0): values / 2, (HOOK, 3): values})
    with pytest.raises(ActivationError, match=r"layer 3, part 2: the values go up to 65520.*precision 16 cannot hold"):
        convert(source, tmp_path / "half", "zarr", "16")
    assert open_store(tmp_path / "half").open_parts() == [2]
    assert convert(source, tmp_path / "bf16", "zarr", "bf16").read(3)[9, 5] == 65536
    values[1, 5] = 65504
    source.write_part(2, {(HOOK, 0): values, (HOOK, 3): values})
    assert convert(source, tmp_path / "fits", "zarr", "16").read(3)[9, 5] == 65504


@pytest.mark.parametrize("precision", PRECISIONS)
def test_values_that_are_not_numbers_are_refused(tmp_path, make_store, precision):
    source = make_store(tmp_path / "source", parts=[0, 2])
    values = np.ones((4, 33), np.float32)
    values[2, 3] = np.nan
    source.write_part(1, {(HOOK, 0): values, (HOOK, 3): np.ones_like(values)})
    with pytest.raises(ActivationError, match="layer 0, part 1: 1 values are NaN or infinite"):
        convert(source, tmp_path / "copy", "zarr", precision)


def test_unfinished_and_damaged_sources_are_refused(tmp_path, make_store):
    unfinished = make_store(tmp_path / "unfinished", parts=[0])
    with pytest.raises(StoreError, match="unfinished: 2 of 3 parts"):
        convert(unfinished, tmp_path / "copy", "hdf5")
    assert not (tmp_path / "copy").exists()
    damaged = make_store(tmp_path / "damaged")
    path = damaged.path / next(iter(damaged._part_files(1)))
    whole = path.read_bytes()
    path.write_bytes(bytes([whole[0] ^ 1]) + whole[1:])
    with pytest.raises(StoreError, match="Layer 0, part 1: .*damaged"):
        convert(damaged, tmp_path / "copy", "hdf5")
    assert open_store(tmp_path / "copy").open_parts() == [1, 2]


def test_a_store_is_not_converted_onto_itself_or_another(tmp_path, make_store):
    source = make_store(tmp_path / "source")
    before = {name: (source.path / name).read_bytes() for name in file_sizes(source.path)}
    with pytest.raises(StoreError, match=r"Another store exists at .*converted_from"):
        convert(source, source.path, "zarr")
    with pytest.raises(StoreError, match="is a zarr store, not hdf5"):
        convert(source, source.path, "hdf5")
    assert {name: (source.path / name).read_bytes() for name in file_sizes(source.path)} == before
    copy = convert(source, tmp_path / "copy", "zarr", "16")
    changed = make_store(tmp_path / "changed", seed=1)
    with pytest.raises(StoreError, match=r"fingerprint.converted_from.digest"):
        convert(changed, copy.path, "zarr", "16")


def test_to_an_object_store_and_back(tmp_path, make_store, s3_place):
    source = make_store(tmp_path / "source")
    there = convert(source, s3_place / "there", "zarr", "16")
    back = convert(there, tmp_path / "back", "hdf5")
    assert np.array_equal(back.read(3), there.read(3))
    assert dataclasses.replace(back.plan, fingerprint={}) == dataclasses.replace(there.plan, fingerprint={})


@pytest.mark.parametrize("damage", ["flipped", "short", "missing"])
@pytest.mark.parametrize("kind", STORES)
def test_damage_is_repaired_by_converting_again(tmp_path, make_store, kind, damage):
    source = make_store(tmp_path / "source")
    copy = convert(source, tmp_path / "copy", kind, "16")
    path = copy.path / next(iter(copy._part_files(1)))
    whole = path.read_bytes()
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]) * (damage == "flipped"))
    assert len(copy.verify()) == 1
    assert convert(source, copy.path, kind, "16").verify() == []
    assert path.read_bytes() == whole
