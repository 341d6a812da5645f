"""Files that may be pipes, folders, links or too long."""

import os

import pytest

from probing_datasets.foundation.files.regular_files import names_in, open_regular_file, read_end
from tests.builders.odd_paths import put_odd


@pytest.mark.parametrize("kind", ["pipe", "folder", "socket"])
@pytest.mark.parametrize("flags", [os.O_RDONLY, os.O_RDWR | os.O_CREAT])
def test_only_regular_files_are_opened(tmp_path, kind, flags):
    put_odd(kind, tmp_path / "file")
    with pytest.raises(IsADirectoryError if kind == "folder" else ValueError, match=r"directory|not a regular file"):
        open_regular_file(tmp_path / "file", flags)


def test_a_missing_file_is_made_only_on_request(tmp_path):
    with pytest.raises(FileNotFoundError):
        open_regular_file(tmp_path / "file")
    with open_regular_file(tmp_path / "file", os.O_RDWR | os.O_CREAT) as file:
        file.write(b"text")
    with open_regular_file(tmp_path / "file") as file:
        assert file.read() == b"text"


@pytest.mark.parametrize(("n", "end"), [(3, (b"456", False)), (6, (b"123456", True)), (9, (b"123456", True))])
def test_the_end_of_a_file(tmp_path, n, end):
    (tmp_path / "file").write_bytes(b"123456")
    assert read_end(tmp_path / "file", n) == end


@pytest.mark.parametrize("kind", ["pipe", "link to itself", "file"])
def test_what_is_not_a_folder_has_no_names(tmp_path, kind):
    put_odd(kind, tmp_path / "names")
    assert names_in(tmp_path / "names") == names_in(tmp_path / "missing") == []
    assert names_in(tmp_path) == ["names"]
