"""Files and folders that appear complete or not at all, also after a kill or a full disk."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from probing_datasets.foundation.files.atomic_files import (
    TEMPORARY_PREFIX,
    atomic_file,
    atomic_folder,
    temporary_sibling,
    write_bytes,
    write_json,
)


class Killed(BaseException):
    """Not an Exception, like the KeyboardInterrupt of Ctrl-C."""


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def fill(folder: Path, text: str) -> None:
    (folder / "deep").mkdir()
    (folder / "deep" / "file").write_text(text)


def write_folder(path: Path, text: str) -> None:
    with atomic_folder(path) as temporary:
        fill(temporary, text)


def die_in_file(path: Path) -> None:
    with atomic_file(path) as temporary:
        temporary.write_text("half")
        raise Killed


def die_in_folder(path: Path) -> None:
    with atomic_folder(path) as temporary:
        fill(temporary, "half")
        raise Killed


def test_file_appears_on_success(tmp_path):
    path = tmp_path / "new" / "file"
    with atomic_file(path) as temporary:
        temporary.write_text("new")
        assert not path.exists()
    assert path.read_text() == "new"
    assert names(path.parent) == ["file"]


def test_folder_appears_on_success(tmp_path):
    path = tmp_path / "new" / "folder"
    with atomic_folder(path) as temporary:
        fill(temporary, "new")
        assert not path.exists()
    assert (path / "deep" / "file").read_text() == "new"
    assert names(path.parent) == ["folder"]


def test_folder_is_replaced_whole(tmp_path):
    path = tmp_path / "folder"
    path.mkdir()
    (path / "old").write_text("old")
    write_folder(path, "new")
    assert names(path) == ["deep"]
    assert names(tmp_path) == ["folder"]


def test_folder_that_is_not_to_be_replaced_stays_in_its_place(tmp_path):
    path = tmp_path / "folder"
    path.mkdir()
    (path / "old").write_text("old")
    with pytest.raises(OSError, match="not empty"), atomic_folder(path, replace=False) as temporary:
        fill(temporary, "new")
    assert names(path) == ["old"]
    assert names(tmp_path) == ["folder"]


@pytest.mark.parametrize("old", [None, "old"])
def test_failure_leaves_the_old_file(tmp_path, old):
    path = tmp_path / "file"
    if old:
        path.write_text(old)
    with pytest.raises(Killed):
        die_in_file(path)
    assert names(tmp_path) == (["file"] if old else [])
    assert not old or path.read_text() == old


@pytest.mark.parametrize("old", [None, "old"])
def test_failure_leaves_the_old_folder(tmp_path, old):
    path = tmp_path / "folder"
    if old:
        path.mkdir()
        fill(path, old)
    with pytest.raises(Killed):
        die_in_folder(path)
    assert names(tmp_path) == (["folder"] if old else [])
    assert not old or (path / "deep" / "file").read_text() == old


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_failure_to_flush_leaves_the_old_state(tmp_path, monkeypatch, kind):
    write_bytes(tmp_path / "file", b"old")

    def full_disk(path):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("probing_datasets.foundation.files.atomic_files.fsync_path", full_disk)
    write = write_folder if kind == "folder" else lambda path, text: write_bytes(path, text.encode())
    with pytest.raises(OSError, match="No space left"):
        write(tmp_path / kind, "new")
    assert names(tmp_path) == ["file"]
    assert (tmp_path / "file").read_bytes() == b"old"


def test_everything_is_flushed_before_it_is_renamed(tmp_path, monkeypatch):
    events = []
    replace = Path.replace
    monkeypatch.setattr("os.fsync", lambda descriptor: events.append("flush"))
    monkeypatch.setattr(Path, "replace", lambda self, to: events.append("rename") or replace(self, to))
    write_bytes(tmp_path / "file", b"data")
    assert events == ["flush", "rename", "flush"]
    events.clear()
    write_folder(tmp_path / "folder", "data")
    assert events == ["flush"] * 3 + ["rename", "flush"]  # folder, deep, file; then the folder around it


KILL = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, {root!r})
from probing_datasets.foundation.files.atomic_files import atomic_file
with atomic_file(Path({path!r})) as temporary:
    temporary.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_kill_leaves_the_old_file_and_a_temporary_name(tmp_path):
    write_bytes(tmp_path / "file", b"old")
    (tmp_path / "other").write_text("other")
    program = KILL.format(root=str(Path(__file__).parents[3]), path=str(tmp_path / "file"))
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == -9
    assert (tmp_path / "file").read_bytes() == b"old"
    assert len(names(tmp_path)) == 3


def test_temporary_names_are_hidden_and_differ(tmp_path):
    first, second = temporary_sibling(tmp_path / "a"), temporary_sibling(tmp_path / "a")
    assert first != second
    assert first.parent == tmp_path
    assert first.name.startswith(TEMPORARY_PREFIX)


def test_json_has_sorted_keys(tmp_path):
    write_json(tmp_path / "v.json", {"b": [1, 2.5], "a": None})
    text = (tmp_path / "v.json").read_text()
    assert json.loads(text) == {"a": None, "b": [1, 2.5]}
    assert text.index('"a"') < text.index('"b"')
    with pytest.raises(TypeError):
        write_json(tmp_path / "v.json", {"a": object()})
    assert (tmp_path / "v.json").read_text() == text


def test_what_is_written_as_json_is_read_back(tmp_path):
    write_json(tmp_path / "a.json", {"b": [1, None, "é"]})
    assert json.loads((tmp_path / "a.json").read_text()) == {"b": [1, None, "é"]}
