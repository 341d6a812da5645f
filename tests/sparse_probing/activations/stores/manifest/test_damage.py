"""Every file of a store is guarded: nothing that is changed, cut off or lost stays unnamed."""

import numpy as np
import pytest

from probing_datasets.foundation.errors import CorruptStoreError, StoreError
from sparse_probing.activations.stores import STORES, open_store
from sparse_probing.activations.stores.manifest.provenance import read_provenance, write_provenance
from sparse_probing.activations.stores.storage.files import file_sizes


@pytest.fixture(params=[(kind, precision) for kind in STORES for precision in ("32", "8")], ids="-".join)
def store(request, tmp_path, make_store):
    kind, precision = request.param
    made = make_store(tmp_path / "store", kind, precision=precision)
    write_provenance(made.path, {"seed": 0})
    return made


def named(store):
    """What verify() says, or the files that open() refuses."""
    try:
        return [(d.hook_point, d.layer, d.part, d.path) for d in open_store(store.path).verify()]
    except (CorruptStoreError, StoreError) as error:
        refused = [store.path / name for name in ("plan.json", "rows.parquet")]
        return [(None, None, None, path) for path in refused if path.name in str(error)]


def place_of(store, name):
    """What verify() must say about a file."""
    for part in range(store.plan.n_parts):
        if name in store._part_files(part):
            return (*store._part_files(part)[name], part, store.path / name)
        if name == f"parts/{part:06d}.json":
            return (None, None, part, store.path / name)
    return (None, None, None, store.path / name)


def test_a_flipped_byte_in_any_file_is_named(store):
    generator = np.random.default_rng(0)
    names = file_sizes(store.path)
    assert {"plan.json", "rows.parquet", "provenance.json", "parts/000002.json"} < set(names)
    assert set(names) > set(store._part_files(0)) | set(store._metadata(store.plan))
    assert named(store) == []
    for name, size in names.items():
        path = store.path / name
        whole = path.read_bytes()
        for offset in {0, size - 1, *generator.integers(0, size, 3).tolist()}:
            changed = bytearray(whole)
            changed[offset] ^= int(generator.integers(1, 256))
            path.write_bytes(bytes(changed))
            assert named(store) == [place_of(store, name)], (name, offset)
        path.write_bytes(whole)
    assert named(store) == []


def test_a_file_of_another_length_is_named(store):
    for name in file_sizes(store.path):
        path = store.path / name
        whole = path.read_bytes()
        for other in (whole[:-1], b"", whole + b"\0"):
            path.write_bytes(other)
            assert named(store) == [place_of(store, name)], (name, len(other))
        path.write_bytes(whole)
    assert named(store) == []


def test_a_missing_file_is_named(store):
    """But for two: a part without a record is unfinished, and nobody need say how a store was made."""
    optional = {"provenance.json", *(f"parts/{part:06d}.json" for part in range(store.plan.n_parts))}
    for name in file_sizes(store.path):
        path = store.path / name
        whole = path.read_bytes()
        path.unlink()
        assert named(store) == ([] if name in optional else [place_of(store, name)]), name
        assert open_store_finished(store, name) == (name not in optional - {"provenance.json"})
        path.write_bytes(whole)


def open_store_finished(store, name):
    return name in ("plan.json", "rows.parquet") or open_store(store.path).is_complete


def test_each_process_checks_only_its_parts(store):
    for part in (0, 2):
        name = next(iter(store._part_files(part)))
        (store.path / name).write_bytes(b"")
    for look in (store.verify, store.damaged_sizes):
        assert [damage.part for damage in look()] == [0, 2]
        assert [damage.part for damage in look(range(0, 3, 2))] == [0, 2]
        assert [damage.part for damage in look([2])] == [2]
        assert look([1]) == []


def test_sizes_do_not_show_a_flipped_byte(store):
    name = next(iter(store._part_files(1)))
    whole = (store.path / name).read_bytes()
    (store.path / name).write_bytes(bytes([whole[0] ^ 1]) + whole[1:])
    assert store.damaged_sizes() == []
    assert [damage.reason for damage in store.verify()] == ["checksum differs"]
    (store.path / name).unlink()
    (damage,) = store.damaged_sizes()
    assert (damage.hook_point, damage.layer) == store._part_files(1)[name]
    assert (damage.part, damage.path, damage.reason) == (1, store.path / name, "missing")


def test_unfinished_parts_are_not_damaged(tmp_path, make_store):
    store = make_store(tmp_path, parts=[1])
    assert store.open_parts() == [0, 2]
    assert store.verify() == store.damaged_sizes() == []


def test_provenance_is_written_once(store):
    write_provenance(store.path, {"seed": 1})
    found = read_provenance(store.path)
    assert found is not None
    assert found["config"] == {"seed": 0}
    (store.path / "provenance.json").write_text("{}")
    with pytest.raises(CorruptStoreError, match=r"provenance.json was edited or damaged"):
        read_provenance(store.path)
    (store.path / "provenance.json").unlink()
    assert read_provenance(store.path) is None
