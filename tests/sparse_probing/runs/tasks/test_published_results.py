"""Results of tasks: published whole, intact or damaged, and checked without reading unchanged ones again."""

import shutil
import threading
from pathlib import Path

import pytest

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


@pytest.fixture
def folder(tmp_path):
    publish(tmp_path, "abc", [], {"seconds": 1.5})
    return task_folder(tmp_path, "abc")


def seconds(path):
    return (read_record(path, "abc") or {}).get("seconds")


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
    assert read_record(tmp_path, "abc") is None


def test_a_flipped_byte_of_the_rows_is_seen(folder, tmp_path):
    flip_byte(folder / ROWS)
    assert read_record(tmp_path, "abc") is None


def test_a_task_without_a_result_is_not_finished(tmp_path):
    assert read_record(tmp_path, "abc") is None


def test_publishing_again_keeps_the_damaged_result_aside(folder, tmp_path):
    flip_byte(folder / ROWS)
    damaged = (folder / ROWS).read_bytes()
    publish(tmp_path, "abc", [], {"seconds": 2.5})
    assert seconds(tmp_path) == 2.5
    (aside,) = (tmp_path / DAMAGED).iterdir()
    assert aside.name.startswith("abc-")
    assert (aside / ROWS).read_bytes() == damaged


def test_a_failure_publishes_nothing(tmp_path):
    with pytest.raises(ValueError, match="does not define: misspelt"):
        publish(tmp_path, "abc", [{"misspelt": 1}], {})
    assert not list((tmp_path / "tasks").iterdir())


def test_two_that_publish_one_task_at_once_both_end_well(tmp_path: Path):
    failures = []

    def work() -> None:
        try:
            publish(tmp_path, "key", [], {"task": {}})
        except OSError as error:
            failures.append(error)

    for _ in range(20):
        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert read_record(tmp_path, "key") is not None
        assert [p.name for p in (tmp_path / "tasks").iterdir()] == ["key"]
        shutil.rmtree(task_folder(tmp_path, "key"))
    assert failures == []


def test_a_result_that_was_published_meanwhile_is_not_replaced(tmp_path: Path, monkeypatch):
    write_rows = result_rows.write_rows

    def write_after_another(rows, path):
        monkeypatch.setattr(result_rows, "write_rows", write_rows)
        publish(tmp_path, "key", [], {"seconds": 1})
        write_rows(rows, path)

    monkeypatch.setattr(result_rows, "write_rows", write_after_another)
    publish(tmp_path, "key", [], {"seconds": 2})
    assert read_record(tmp_path, "key")["seconds"] == 1


@pytest.fixture
def run_path(tmp_path):
    for key in ("a", "b"):
        publish(tmp_path, key, [], {"seconds": 1.5, "failed_features": {"x": "one class"}})
    return tmp_path


def intact(path):
    return {key: result.intact for key, result in check_results(path, ["a", "b", "c"]).items()}


def test_a_result_is_intact_when_it_has_its_checksum(run_path):
    assert intact(run_path) == {"a": True, "b": True}
    result = check_results(run_path, ["a"])["a"]
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
    before = check_results(run_path, ["a", "b"])
    publish(run_path, "c", [], {"seconds": 2.5})
    read = []
    monkeypatch.setattr(results, "read_record", lambda path, key: read.append(key))
    after = check_results(run_path, ["a", "b", "c"])
    assert read == ["c"]
    assert {key: after[key] for key in before} == before


@pytest.mark.parametrize("text", ["", "{", "[]", '{"a": {"stamp": []}}'])
def test_remembered_results_that_cannot_be_read_are_checked_again(run_path, text):
    (run_path / CHECKED).write_text(text)
    assert intact(run_path) == {"a": True, "b": True}


def test_a_removed_result_is_not_reported(run_path):
    assert intact(run_path) == {"a": True, "b": True}
    shutil.rmtree(task_folder(run_path, "a"))
    assert intact(run_path) == {"b": True}
