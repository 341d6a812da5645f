"""Merging stores that hold some of the parts each."""

import numpy as np
import pytest

from probing_datasets.foundation.errors import CorruptStoreError, StoreError
from sparse_probing.activations.store_operations.merge import merge
from sparse_probing.activations.stores import STORES, open_store
from sparse_probing.activations.stores.manifest.provenance import read_provenance
from sparse_probing.activations.stores.storage.files import file_sizes

WRITTEN_BY_MERGE = {"provenance.json"}


def files_of(store):
    return {name: (store.path / name).read_bytes() for name in set(file_sizes(store.path)) - WRITTEN_BY_MERGE}


@pytest.fixture(params=STORES)
def kind(request):
    return request.param


def test_parts_of_two_machines_become_the_whole(tmp_path, make_store, values_of, kind):
    sources = [make_store(tmp_path / "a", kind, parts=[0, 2]), make_store(tmp_path / "b", kind, parts=[1])]
    merged = merge(sources, tmp_path / "merged")
    assert merged.is_complete
    assert merged.verify() == []
    assert np.array_equal(open_store(tmp_path / "merged").read(3), values_of(merged.plan, 3))
    record = read_provenance(merged.path)
    assert record is not None
    assert set(record["config"]["merged_from"]) == {str(source.path) for source in sources}


def test_the_merged_store_is_that_of_one_machine(tmp_path, make_store):
    whole = make_store(tmp_path / "whole")
    merged = merge([make_store(tmp_path / f"{part}", parts=[part]) for part in range(3)], tmp_path / "merged")
    assert files_of(merged) == files_of(whole)
    assert merged.digest == whole.digest


def test_parts_that_no_source_has_stay_open(tmp_path, make_store, kind):
    sources = [make_store(tmp_path / "a", kind, parts=[0]), make_store(tmp_path / "b", kind, parts=[])]
    assert merge(sources, tmp_path / "merged").open_parts() == [1, 2]
    later = make_store(tmp_path / "c", kind, parts=[2])
    assert merge([later], tmp_path / "merged").open_parts() == [1]


def test_a_source_may_take_in_the_others(tmp_path, make_store, values_of):
    first, other = make_store(tmp_path / "a", parts=[0]), make_store(tmp_path / "b", parts=[1, 2])
    merged = merge([first, other], first.path)
    assert merged.is_complete
    assert np.array_equal(merged.read(0), values_of(merged.plan, 0))


def test_an_interrupted_merge_resumes(tmp_path, make_store):
    sources = [make_store(tmp_path / "a", parts=[0]), make_store(tmp_path / "b", parts=[1, 2])]
    merged = merge(sources, tmp_path / "merged")
    digest = merged.digest
    merged.discard_part(1)
    kept = merged.path / next(iter(merged._part_files(0)))
    before = kept.stat().st_mtime_ns
    assert merge(sources, tmp_path / "merged").digest == digest
    assert kept.stat().st_mtime_ns == before


def test_only_different_parts_are_a_conflict(tmp_path, make_store):
    same = [make_store(tmp_path / "a", parts=[0, 1]), make_store(tmp_path / "b", parts=[1, 2])]
    assert merge(same, tmp_path / "merged").is_complete
    other = make_store(tmp_path / "c", parts=[1], seed=1)
    for sources, destination in (([*same, other], tmp_path / "new"), ([other], tmp_path / "merged")):
        with pytest.raises(StoreError, match=r"Part 1 differs between .* and .*c\..*parts/000001.json"):
            merge(sources, destination)


def test_other_plans_rows_and_encodings_are_refused(tmp_path, make_store):
    first = make_store(tmp_path / "a", parts=[0])
    with pytest.raises(StoreError, match=r'fingerprint.model: "pythia-70m" -> "gpt2"'):
        merge([first, make_store(tmp_path / "b", fingerprint={"model": "gpt2", "dataset_hash": "abc"})], tmp_path / "m")
    with pytest.raises(StoreError, match="is a zarr store and .*h a hdf5 store"):
        merge([first, make_store(tmp_path / "h", "hdf5")], tmp_path / "m")
    shifted = STORES["zarr"].create(tmp_path / "s", first.plan, np.arange(10), np.arange(10))
    with pytest.raises(StoreError, match="other tokens"):
        merge([first, shifted], tmp_path / "m")
    with pytest.raises(StoreError, match="nothing to merge"):
        merge([], tmp_path / "m")
    assert not (tmp_path / "m").exists()


@pytest.mark.parametrize("damage", ["flipped", "missing"])
def test_damaged_files_are_not_taken(tmp_path, make_store, damage):
    first, other = make_store(tmp_path / "a", parts=[0]), make_store(tmp_path / "b", parts=[1, 2])
    path = other.path / next(iter(other._part_files(2)))
    whole = path.read_bytes()
    path.unlink() if damage == "missing" else path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(CorruptStoreError, match=f"Part 2: {path} is (damaged|missing)"):
        merge([first, other], tmp_path / "merged")
    assert open_store(tmp_path / "merged").open_parts() == [2]
    path.write_bytes(whole)
    assert merge([first, other], tmp_path / "merged").is_complete


def test_between_a_folder_and_an_object_store(tmp_path, make_store, s3_place, kind):
    there = make_store(s3_place / "a", kind, parts=[0, 1])
    here = make_store(tmp_path / "b", kind, parts=[2])
    assert merge([there, here], tmp_path / "merged").digest == merge([here, there], s3_place / "merged").digest


@pytest.mark.parametrize("onto_source", [False, True])
def test_damage_is_repaired_by_merging_again(tmp_path, make_store, onto_source):
    first, other = make_store(tmp_path / "a", parts=[0, 1]), make_store(tmp_path / "b", parts=[1, 2])
    merged = merge([first, other], first.path if onto_source else tmp_path / "merged")
    path = merged.path / next(iter(merged._part_files(1)))
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    sources = [open_store(store.path) for store in (first, other)]
    assert merge(sources, merged.path).verify() == []
    assert path.read_bytes() == whole


def test_a_damaged_part_that_no_source_has_is_open_again(tmp_path, make_store):
    first, other = make_store(tmp_path / "a", parts=[0, 1]), make_store(tmp_path / "b", parts=[2])
    (first.path / next(iter(first._part_files(0)))).unlink()
    assert merge([first, other], first.path).open_parts() == [0]
