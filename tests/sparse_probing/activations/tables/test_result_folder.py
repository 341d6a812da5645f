"""Folders of tables: created, resumed, refused, repaired, completed."""

import json
import shutil

import pytest
from safetensors import SafetensorError

from probing_datasets.foundation.errors import CorruptStoreError, StoreError
from probing_datasets.foundation.files.sealed_json import seal
from sparse_probing.activations.stores.storage.checksums import FileRecord
from sparse_probing.activations.tables.result_folder import (
    complete_folder,
    create_or_resume_folder,
    damaged_files,
    holds_tables,
    is_complete,
    recorded_files,
)
from sparse_probing.config import HarvestConfig

PLAN = {"layers": [0, 1], "n_bin": 3}


def create(folder, plan=PLAN, overwrite=False, resume=False):
    create_or_resume_folder(folder, plan, overwrite=overwrite, resume=resume)


def write(folder, name, data):
    with recorded_files(folder, PLAN).write(name) as temporary:
        temporary.write_bytes(data)


def content(path):
    return json.loads(path.read_text())["content"]


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "results" / "hook"
    create(folder)
    write(folder, "table.parquet", b"rows")
    return folder


def test_the_same_plan_resumes(folder):
    for overwrite in (False, True):
        create(folder, overwrite=overwrite)
        assert (folder / "table.parquet").read_bytes() == b"rows"


def test_another_plan_is_refused_and_replaced_with_overwrite(folder):
    other = {"layers": [1], "top_k": 4}
    with pytest.raises(StoreError, match=r"layers: \[0, 1\] -> \[1\]; n_bin: 3 -> None; top_k: None -> 4 \(there"):
        create(folder, other)
    create(folder, other, overwrite=True)
    assert not (folder / "table.parquet").exists()
    assert content(folder / "plan.json") == other


def test_a_damaged_plan_is_an_error(folder):
    (folder / "plan.json").write_text('{"layers": [0')
    with pytest.raises(StoreError, match=r"plan.json is damaged .* Delete the folder"):
        create(folder)


def test_the_description_completes_the_folder(folder):
    assert not is_complete(folder)
    complete_folder(folder, HarvestConfig().record(), ["table.parquet"], {"edges": [0.0, 1.0]})
    assert is_complete(folder)
    description = content(folder / "description.json")
    record = FileRecord(**description["files"]["table.parquet"])
    assert record.damage(folder / "table.parquet") is None
    (folder / "table.parquet").write_bytes(b"r0ws")
    assert record.damage(folder / "table.parquet") == "checksum differs"
    assert (description["plan"], description["edges"]) == (PLAN, [0.0, 1.0])
    assert description["config"]["model"] == "demo"


def complete(folder):
    write(folder, "other.parquet", b"more")
    complete_folder(folder, HarvestConfig().record(), ["table.parquet", "other.parquet"], {})


@pytest.mark.parametrize("left", ["table.parquet", "description.json"])
def test_results_without_a_plan_are_refused_and_replaced_with_overwrite(folder, left):
    complete(folder)
    shutil.rmtree(folder / "records")
    for path in folder.iterdir():
        if path.name != left:
            path.unlink()
    with pytest.raises(StoreError, match=r"plan.json: missing -> .*--overwrite"):
        create(folder)
    create(folder, overwrite=True)
    assert [path.name for path in folder.iterdir()] == ["plan.json"]


def test_a_plan_that_another_process_is_writing_is_not_content(tmp_path):
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / ".tmp-plan.json-1-0").touch()
    create(tmp_path / "new")
    assert content(tmp_path / "new" / "plan.json") == PLAN


@pytest.mark.parametrize("same_settings", [False, True])
def test_a_kill_while_overwriting_leaves_a_folder_that_is_made_again(folder, monkeypatch, same_settings):
    complete(folder)

    def killed(path):
        raise KeyboardInterrupt

    other = {"n_bin": 4}
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            create(folder, other, overwrite=True)
    assert not is_complete(folder)
    if same_settings:
        create(folder, other, overwrite=True)
        assert [path.name for path in folder.iterdir()] == ["plan.json"]
    else:
        create(folder)
        assert not is_complete(folder)


def test_a_description_of_another_plan_is_refused(folder):
    complete(folder)
    (folder / "plan.json").write_bytes(seal({"n_bin": 4}))
    with pytest.raises(StoreError, match=r"description.json: of another plan -> of plan.json"):
        create(folder, {"n_bin": 4})


@pytest.mark.parametrize(("resume", "data"), [(False, None), (False, b"row"), (True, None), (True, b"r0ws")])
def test_a_damaged_file_makes_the_folder_incomplete(folder, resume, data):
    complete(folder)
    (folder / "table.parquet").unlink()
    if data is not None:
        (folder / "table.parquet").write_bytes(data)
    create(folder, resume=resume)
    assert not is_complete(folder)
    assert sorted(path.name for path in folder.iterdir()) == ["other.parquet", "plan.json", "records"]
    files = recorded_files(folder, PLAN)
    assert [files.is_finished(name) for name in ("table.parquet", "other.parquet")] == [False, True]


@pytest.mark.parametrize(("resume", "completed"), [(False, True), (True, False)])
def test_checksums_are_compared_with_resume(folder, resume, completed):
    complete(folder)
    create(folder, resume=True)
    assert is_complete(folder)
    (folder / "table.parquet").write_bytes(b"r0ws")
    create(folder, resume=resume)
    assert is_complete(folder) == completed


def test_all_checksums_are_compared_once_a_file_is_damaged(folder):
    complete(folder)
    (folder / "table.parquet").write_bytes(b"r0ws")
    (folder / "other.parquet").unlink()
    create(folder)
    assert sorted(path.name for path in folder.iterdir()) == ["plan.json", "records"]


def test_completing_again_does_not_record_damage(folder):
    complete(folder)
    (folder / "table.parquet").write_bytes(b"r0ws")
    complete(folder)
    assert damaged_files(folder) == {"table.parquet": "checksum differs"}


def test_damaged_files_are_named(folder):
    with pytest.raises(StoreError, match="incomplete tables"):
        damaged_files(folder)
    complete(folder)
    assert damaged_files(folder) == {}
    (folder / "table.parquet").write_bytes(b"row")
    (folder / "other.parquet").unlink()
    (folder / "plan.json").write_bytes(seal({}))
    expected = {"table.parquet": "wrong size", "other.parquet": "missing", "plan.json": "checksum differs"}
    assert damaged_files(folder) == expected
    (folder / "description.json").write_text("{")
    with pytest.raises(CorruptStoreError, match="description.json is damaged"):
        damaged_files(folder)


def test_tables_are_distinguished_from_stores(folder, tmp_path):
    assert not holds_tables(folder)
    create(tmp_path / "started", {"algorithm_version": 1})
    assert holds_tables(tmp_path / "started")
    complete(folder)
    assert holds_tables(folder)
    assert not holds_tables(tmp_path / "nowhere")


def test_the_record_of_another_file_or_plan_is_not_valid(folder):
    """With its record, the file of another part is whole, and not this one."""
    write(folder, "other.parquet", b"more")
    files = recorded_files(folder, PLAN)
    assert not recorded_files(folder, {"n_bin": 4}).is_finished("table.parquet")
    shutil.copy(folder / "other.parquet", folder / "table.parquet")
    shutil.copy(folder / "records" / "other.parquet.json", folder / "records" / "table.parquet.json")
    assert [files.is_finished(name) for name in ("table.parquet", "other.parquet")] == [False, True]
    assert files.remove_damaged(["table.parquet", "other.parquet"]) == ["table.parquet"]
    assert not (folder / "table.parquet").exists()


DAMAGES = [b"", b"null", b"{}", b"[" * 100_000, b"{" * 3, seal({}), seal({"plan": []}), b"\xff"]


@pytest.mark.parametrize("name", ["plan.json", "description.json"])
@pytest.mark.parametrize("data", DAMAGES, ids=range(len(DAMAGES)))
def test_a_damaged_plan_or_description_is_one_sentence(folder, name, data):
    complete(folder)
    (folder / name).write_bytes(data)
    with pytest.raises(StoreError, match=rf"{name} is damaged|Other results exist"):
        create(folder)


def test_names_that_lead_out_of_the_folder_are_refused(folder):
    complete(folder)
    description = content(folder / "description.json")
    description["files"]["../../secret"] = description["files"]["table.parquet"]
    (folder / "description.json").write_bytes(seal(description))
    with pytest.raises(CorruptStoreError, match="cannot be the name of a file"):
        damaged_files(folder)


def test_a_linked_folder_is_not_written_to(folder, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (folder / "parts").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(CorruptStoreError, match="link to a folder outside"):
        write(folder, "parts/part.parquet", b"rows")
    assert list((tmp_path / "elsewhere").iterdir()) == []


@pytest.mark.parametrize(
    "error",
    [OSError(28, "No space left on device"), SafetensorError("I/O error: No space left on device (os error 28)")],
)
def test_a_full_disk_is_one_sentence_whatever_library_writes(folder, error):
    files = recorded_files(folder, PLAN)
    with pytest.raises(StoreError, match=r"Cannot write .*x: No space left on device. Finished"), files.write("x"):
        raise error
    assert not files.is_finished("x")
    assert not list(folder.glob(".tmp-*"))
