"""Text files and folders of them: bounded memory, and files that are too large."""

import gzip
import os
import tracemalloc
from collections import Counter

import pytest

from probing_datasets.foundation.errors import SourceError
from probing_datasets.sources import table_files
from probing_datasets.sources.read_source import read_source
from probing_datasets.sources.text_folders import MAX_FILE_BYTES
from probing_datasets.sources.text_rows import SourceColumns
from tests.builders.sources import write_files

NO_LABELS = SourceColumns("text", "", "")


def texts(path):
    return [row.text for row in read_source(str(path), "x", NO_LABELS)]


def peak_while(function):
    """Return the most bytes that were allocated at once while a function ran."""
    tracemalloc.start()
    try:
        function()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("between", ["\n", "\n\n", "\n \t\n"])
def test_a_large_text_file_is_read_in_little_memory(tmp_path, between):
    text, n_texts = "some words " * 40, 30_000
    path = tmp_path / "t.txt.gz"
    path.write_bytes(gzip.compress((text + between).encode() * n_texts, 1))
    counted = []
    peak = peak_while(lambda: counted.append(sum(1 for _ in read_source(str(path), "x", NO_LABELS))))
    assert counted == [n_texts]
    assert peak < 1e6  # 13 MB of text


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("\n\none\ntwo\n\n", ["one", "two"]),
        ("\n one \n two\n\t\n\n three", ["one \n two", "three"]),
        ("one\r\n\r\ntwo", ["one", "two"]),
        ("", []),
        (" \n\n ", []),
    ],
)
def test_blank_lines_between_texts_make_paragraphs(tmp_path, content, expected):
    path = write_files(tmp_path, {"t.txt": content}) / "t.txt"
    assert texts(path) == expected


@pytest.mark.parametrize("content", ["x" * 5_000, "a\n\n" + "line\n" * 1_000])
def test_a_text_that_would_fill_the_memory_is_refused(tmp_path, monkeypatch, content):
    monkeypatch.setattr(table_files, "MAX_RECORD_CHARACTERS", 1_000)
    path = write_files(tmp_path, {"t.txt": content}) / "t.txt"
    with pytest.raises(SourceError, match=r"has a (line|paragraph) of more than 1,000 characters"):
        texts(path)


@pytest.mark.parametrize("name", ["pos/large.txt.gz", "pos/large.txt", "pkg/large.py"])
def test_a_file_of_a_folder_is_decompressed_as_far_as_its_limit(tmp_path, name):
    small = "pkg/small.py" if name.endswith(".py") else "pos/small.txt"
    write_files(tmp_path, {name: gzip.compress(b"words " * 3_000_000, 1), small: "x" * MAX_FILE_BYTES})
    skipped, rows = Counter(), []
    peak = peak_while(lambda: rows.extend(read_source(str(tmp_path), "x", NO_LABELS, skipped=skipped)))
    assert [len(row.text) for row in rows] == [MAX_FILE_BYTES]
    assert skipped == {f"files are larger than {MAX_FILE_BYTES:,} bytes": 1}
    assert peak < 8 * MAX_FILE_BYTES  # of 18 MB


def test_a_pipe_is_refused(tmp_path):
    os.mkfifo(tmp_path / "t.txt")
    with pytest.raises(SourceError, match="not a regular file"):
        texts(tmp_path / "t.txt")
