"""Results of tasks: published whole, intact or damaged, and checked without reading unchanged ones again."""

import os
import shutil
import threading
from pathlib import Path

import pytest

from probing_datasets.foundation.files.sealed_json import unseal, write_sealed
from sparse_probing.runs.tasks import published_results as results
from sparse_probing.runs.tasks.published_results import (
    CHECKED,
    DAMAGED,
    RECORD,
    ROWS,
    check_results,
    publish,
    read_record,
    task_folder,
)
from sparse_probing.studies.base import result_rows
from sparse_probing.studies.base.result_rows import read_rows
from tests.builders.runs import task_record

TASK = task_record("abc").task


def tasks(*keys):
    return dict.fromkeys(keys, TASK)


@pytest.fixture
def folder(tmp_path):
    publish(tmp_path, [], task_record("abc", seconds=1.5))
    return task_folder(tmp_path, "abc")


def seconds(path):
    record = read_record(path, "abc", TASK)
    return record and record.seconds


def test_a_published_task_has_rows_and_a_record(folder, tmp_path):
    assert seconds(tmp_path) == 1.5
    assert read_rows([folder / ROWS]).empty
    assert {p.name for p in folder.iterdir()} == {ROWS, RECORD}
    assert [p.name for p in folder.parent.iterdir()] == ["abc"]


def flip_byte(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("name", [ROWS, RECORD])
@pytest.mark.parametrize("damage", [lambda path: path.unlink(), lambda path: path.write_bytes(path.read_bytes()[:-9])])
def test_a_damaged_task_is_not_finished(folder, tmp_path, name, damage):
    damage(folder / name)
    assert read_record(tmp_path, "abc", TASK) is None


def test_a_flipped_byte_of_the_rows_is_seen(folder, tmp_path):
    flip_byte(folder / ROWS)
    assert read_record(tmp_path, "abc", TASK) is None


def test_no_changed_bit_of_a_record_is_accepted(folder, tmp_path):
    content = (folder / RECORD).read_bytes()
    for position in range(0, len(content), 5):
        changed = bytearray(content)
        changed[position] ^= 1 << position % 8
        (folder / RECORD).write_bytes(changed)
        assert read_record(tmp_path, "abc", TASK) is None
    (folder / RECORD).write_bytes(content)
    assert seconds(tmp_path) == 1.5


@pytest.mark.parametrize("name", [ROWS, RECORD])
def test_a_pipe_in_place_of_a_file_does_not_block(folder, tmp_path, name):
    (folder / name).unlink()
    os.mkfifo(folder / name)
    assert read_record(tmp_path, "abc", TASK) is None


def test_the_result_of_another_task_is_not_accepted(folder, tmp_path):
    folder.rename(folder.with_name("abd"))
    assert read_record(tmp_path, "abd", TASK) is None


@pytest.mark.parametrize("seconds", ["1.5", None, -1.0, float("inf"), float("nan")])
def test_a_record_with_a_value_of_another_kind_is_not_accepted(folder, tmp_path, seconds):
    record = unseal((folder / RECORD).read_bytes())
    write_sealed(folder / RECORD, record | {"seconds": seconds})
    assert read_record(tmp_path, "abc", TASK) is None
    del record["seconds"]
    write_sealed(folder / RECORD, record)
    assert read_record(tmp_path, "abc", TASK) is None


@pytest.mark.parametrize("change", [{"layer": 1}, {"study": "f_stat_sweep"}, {"features": ("b",)}, {"features": ()}])
def test_a_record_of_this_key_and_another_task_is_not_accepted(folder, tmp_path, change):
    record = unseal((folder / RECORD).read_bytes())
    write_sealed(folder / RECORD, record | {"task": record["task"] | change})
    assert read_record(tmp_path, "abc", TASK) is None
    assert not check_results(tmp_path, tasks("abc"))["abc"].intact


def test_a_task_without_a_result_is_not_finished(tmp_path):
    assert read_record(tmp_path, "abc", TASK) is None


def test_publishing_again_keeps_the_damaged_result_aside(folder, tmp_path):
    flip_byte(folder / ROWS)
    damaged = (folder / ROWS).read_bytes()
    publish(tmp_path, [], task_record("abc", seconds=2.5))
    assert seconds(tmp_path) == 2.5
    (aside,) = (tmp_path / DAMAGED).iterdir()
    assert aside.name.startswith("abc-")
    assert (aside / ROWS).read_bytes() == damaged


def test_a_failure_publishes_nothing(tmp_path):
    with pytest.raises(ValueError, match="does not define: misspelt"):
        publish(tmp_path, [{"misspelt": 1}], task_record("abc"))
    assert not list((tmp_path / "tasks").iterdir())


def test_two_that_publish_one_task_at_once_both_end_well(tmp_path: Path):
    failures = []

    def work() -> None:
        try:
            publish(tmp_path, [], task_record("key"))
        except OSError as error:
            failures.append(error)

    for _ in range(20):
        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert read_record(tmp_path, "key", TASK) is not None
        assert [p.name for p in (tmp_path / "tasks").iterdir()] == ["key"]
        shutil.rmtree(task_folder(tmp_path, "key"))
    assert failures == []


def test_a_result_that_was_published_meanwhile_is_not_replaced(tmp_path: Path, monkeypatch):
    write_rows = result_rows.write_rows

    def write_after_another(rows, path):
        monkeypatch.setattr(result_rows, "write_rows", write_rows)
        publish(tmp_path, [], task_record("key", seconds=1))
        write_rows(rows, path)

    monkeypatch.setattr(result_rows, "write_rows", write_after_another)
    publish(tmp_path, [], task_record("key", seconds=2))
    assert read_record(tmp_path, "key", TASK).seconds == 1


@pytest.fixture
def run_path(tmp_path):
    for key in ("a", "b"):
        publish(tmp_path, [], task_record(key, seconds=1.5, failed_features={"x": "one class"}))
    return tmp_path


def intact(path):
    return {key: result.intact for key, result in check_results(path, tasks("a", "b", "c")).items()}


def test_a_result_is_intact_when_it_has_its_checksum(run_path):
    assert intact(run_path) == {"a": True, "b": True}
    result = check_results(run_path, tasks("a"))["a"]
    assert (result.seconds, result.failed_features) == (1.5, {"x": "one class"})


@pytest.mark.parametrize("name", [ROWS, RECORD])
@pytest.mark.parametrize("damage", ["flip", "cut", "remove"])
def test_damage_after_the_first_check_is_seen(run_path, name, damage):
    assert intact(run_path) == {"a": True, "b": True}
    path = task_folder(run_path, "b") / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 128
    path.unlink()
    if damage != "remove":
        path.write_bytes(content if damage == "flip" else content[:-5])
    assert intact(run_path) == {"a": True, "b": False}


def test_files_that_did_not_change_are_not_read_again(run_path, monkeypatch):
    before = check_results(run_path, tasks("a", "b"))
    publish(run_path, [], task_record("c"))
    read = []
    monkeypatch.setattr(results, "read_record", lambda path, key, task: read.append(key))
    after = check_results(run_path, tasks("a", "b", "c"))
    assert read == ["c"]
    assert {key: after[key] for key in before} == before


def test_a_bit_that_changed_on_the_disk_is_seen_when_all_is_read(run_path):
    """The time of change and the size are those of the intact file."""
    assert intact(run_path) == {"a": True, "b": True}
    path = task_folder(run_path, "b") / ROWS
    times = path.stat()
    flip_byte(path)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    read = check_results(run_path, tasks("a", "b"), read_all=True)
    assert {key: result.intact for key, result in read.items()} == {"a": True, "b": False}
    assert intact(run_path) == {"a": True, "b": False}  # it is remembered


def test_no_changed_bit_of_the_remembered_results_is_used(run_path):
    flip_byte(task_folder(run_path, "b") / ROWS)
    assert intact(run_path) == {"a": True, "b": False}
    content = (run_path / CHECKED).read_bytes()
    (run_path / CHECKED).write_bytes(content.replace(b"false", b"true"))
    assert intact(run_path) == {"a": True, "b": False}


@pytest.mark.parametrize("text", ["", "{", "[]", '{"a": {"stamp": []}}', "null", "[" * 100_000])
def test_remembered_results_that_cannot_be_read_are_checked_again(run_path, text):
    (run_path / CHECKED).write_text(text)
    assert intact(run_path) == {"a": True, "b": True}


def test_a_removed_result_is_not_reported(run_path):
    assert intact(run_path) == {"a": True, "b": True}
    shutil.rmtree(task_folder(run_path, "a"))
    assert intact(run_path) == {"b": True}
