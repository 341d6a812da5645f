import pytest

from sparse_probing.results import read_rows
from sparse_probing.runs.tasks.results import DAMAGED, RECORD, ROWS, publish, read_record, task_folder


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
def test_a_damaged_task_is_not_done(folder, tmp_path, name, damage):
    damage(folder / name)
    assert read_record(tmp_path, "abc") is None


def test_a_flipped_byte_of_the_rows_is_seen(folder, tmp_path):
    flip_byte(folder / ROWS)
    assert read_record(tmp_path, "abc") is None


def test_what_was_never_published_is_not_done(tmp_path):
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
