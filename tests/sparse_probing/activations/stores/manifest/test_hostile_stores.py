"""Stores that were made to do harm: names that lead out of a folder, claims that fill the memory, files without end."""

import json
import os

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from probing_datasets.foundation.errors import CorruptStoreError, SparseProbingError, StoreError
from probing_datasets.foundation.files.sealed_json import seal, unseal
from sparse_probing.activations.store_operations.describe import describe
from sparse_probing.activations.store_operations.merge import merge
from sparse_probing.activations.stores import open_store
from sparse_probing.activations.stores.storage.checksums import FileRecord
from tests.builders.hang_guard import must_end
from tests.builders.harvests import HOOK, file_contents
from tests.builders.stores import write_store


def change_plan(root, **changes):
    """Seal a plan with other values, as somebody does who knows the format."""
    header = unseal((root / "plan.json").read_bytes())
    header["plan"] |= changes
    (root / "plan.json").write_bytes(seal(header))


CHANGES = {
    "hook point out of the folder": {"hook_points": ["../../.."], "widths": {"../../..": 33}},
    "absolute hook point": {"hook_points": ["/x"], "widths": {"/x": 33}},
    "hook point with an escape code": {"hook_points": ["\x1b[2J"], "widths": {"\x1b[2J": 33}},
    "parts": {"n_rows": 10**12, "part_rows": 1},
    "rows": {"n_rows": 10**12, "part_rows": 10**12},
    "rows that the index does not have": {"n_rows": 2**32, "part_rows": 2**31},
    "width": {"widths": {HOOK: 10**12}},
    "width beyond 64 bits": {"widths": {HOOK: 2**80}},
    "no width": {"widths": {}},
    "negative width": {"widths": {HOOK: -33}},
    "layers": {"layers": [0, 10**15]},
    "negative layer": {"layers": [-1]},
    "layer twice": {"layers": [0, 0]},
    "no layers": {"layers": []},
    "no hook points": {"hook_points": [], "widths": {}},
    "type": {"n_rows": "10"},
    "boolean": {"n_rows": True},
    "null": {"layers": None},
    "precision": {"precision": "7"},
    "deep": {"fingerprint": json.loads("[" * 300 + "]" * 300)},
    "unordered": {"hook_points": "abc"},
}


@pytest.mark.parametrize("changes", CHANGES.values(), ids=CHANGES)
def test_a_plan_that_claims_what_no_store_has_is_refused_at_once(tmp_path, changes):
    store = write_store(tmp_path / "store")
    change_plan(store.path, **changes)
    before = file_contents(tmp_path)
    for action in (open_store, describe):
        with (
            must_end(),
            pytest.raises(StoreError, match=r"(plan\.json|rows\.parquet|format version).* damaged|row index"),
        ):
            action(tmp_path / "store")
    assert file_contents(tmp_path) == before


CONTENTS = {
    "nothing": b"",
    "null": b"null",
    "object": b"{}",
    "deep": b"[" * 10**5,
    "deep and closed": b'{"content":' + b'{"a":' * 500 + b"1" + b"}" * 501,
    "not text": b"\xff\xfe",
    "missing keys": seal({}),
    "no files": seal({"store": "zarr", "plan": {"format_version": 1}, "files": {}}),
    "types": seal({"store": 1, "plan": [], "files": None}),
    "escape": seal(
        {"store": "zarr", "plan": {"format_version": 1}, "files": {"../../x": {"nbytes": 1, "xxh3_128": ""}}}
    ),
}


@pytest.mark.parametrize("name", ["plan.json", "rows.parquet"])
@pytest.mark.parametrize("data", CONTENTS.values(), ids=CONTENTS)
def test_a_damaged_plan_or_row_index_is_one_sentence(tmp_path, name, data):
    store = write_store(tmp_path / "store")
    (store.path / name).write_bytes(data)
    with pytest.raises(StoreError, match=rf"{name} (was edited or|is) damaged"):
        open_store(store.path)


@pytest.mark.parametrize("name", ["provenance.json", "parts/000001.json"])
@pytest.mark.parametrize("data", CONTENTS.values(), ids=CONTENTS)
def test_a_damaged_record_is_named_and_its_part_not_used(tmp_path, name, data):
    store = write_store(tmp_path / "store")
    (store.path / name).write_bytes(data)
    is_sealed_provenance = name == "provenance.json" and data.startswith(b'{\n "content"')
    damages = open_store(store.path).verify()
    assert [str(damage.path.relative_to(store.path)) for damage in damages] == [name] * (not is_sealed_provenance)
    assert open_store(store.path).open_parts() == [1] * name.startswith("parts")


@pytest.mark.parametrize("name", ["plan.json", "provenance.json", "parts/000001.json", "rows.parquet", "file"])
@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_files_without_end_are_not_read(tmp_path, name, kind):
    store = write_store(tmp_path / "store")
    path = store.path / (next(iter(store.part_record(0))) if name == "file" else name)
    path.unlink(missing_ok=True)
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero")
    with must_end(), pytest.raises(SparseProbingError):
        merge([open_store(store.path)], tmp_path / "merged").layer(0)


def test_a_row_index_that_unpacks_to_many_rows_is_refused(tmp_path):
    store = write_store(tmp_path / "store")
    n_rows, rows = 2**22, store.path / "rows.parquet"
    column = pa.DictionaryArray.from_arrays(pa.array(np.zeros(n_rows, np.int8)), pa.array([0], pa.int64()))
    table = pa.table({"sequence": column.cast(pa.int64()), "position": column.cast(pa.int64())})
    pq.write_table(table, rows, compression="zstd")
    header = unseal((store.path / "plan.json").read_bytes())
    header["files"]["rows.parquet"] = FileRecord.of_file(rows).to_json()
    (store.path / "plan.json").write_bytes(seal(header))
    change_plan(store.path, n_rows=n_rows, part_rows=n_rows)
    with pytest.raises(CorruptStoreError, match="cannot hold 4,194,304 distinct rows"):
        open_store(store.path)


def test_nothing_is_written_through_a_link_in_a_store(tmp_path):
    whole, half = write_store(tmp_path / "whole"), write_store(tmp_path / "half", parts=[0])
    elsewhere = tmp_path / "elsewhere"
    (half.path / HOOK / "layer_00").rename(elsewhere)
    (half.path / HOOK / "layer_00").symlink_to(elsewhere)
    before = file_contents(elsewhere)
    with pytest.raises(CorruptStoreError, match="is a link to a folder outside"):
        merge([half, whole], half.path)
    assert file_contents(elsewhere) == before
