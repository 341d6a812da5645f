"""Reading, writing, listing and removing files in a folder and on an S3 server."""

import errno
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from upath import UPath

from probing_datasets.foundation.errors import CorruptStoreError, StoreError
from sparse_probing.activations.stores.storage import files
from sparse_probing.activations.stores.storage.files import (
    file_exists,
    file_size,
    file_sizes,
    free_space,
    read_blocks,
    read_file,
    read_files,
    read_ranges,
    remove_file,
    remove_tree,
    write_file,
    write_new_file,
)

DATA = bytes(range(256)) * 5
SPANS = [(0, 3), (700, 1280), (5, 6), (2, 900)]


def test_bytes_are_read_as_written(place):
    path = place / "deep" / "file"
    assert not file_exists(path)
    write_file(path, memoryview(DATA))
    assert read_file(path) == DATA
    assert file_size(path) == len(DATA)
    assert b"".join(map(bytes, read_blocks(path))) == DATA
    write_file(path, b"other")
    assert read_file(path) == b"other"


def test_a_new_file_is_written_only_once(place):
    assert write_new_file(place / "deep" / "plan", b"first")
    assert not write_new_file(place / "deep" / "plan", b"second")
    assert read_file(place / "deep" / "plan") == b"first"


def test_of_many_writers_of_a_new_file_exactly_one_writes_it(tmp_path):
    with ThreadPoolExecutor(8) as threads:
        written = list(threads.map(lambda i: write_new_file(tmp_path / "plan", b"%d" % i), range(8)))
    assert written.count(True) == 1
    assert (tmp_path / "plan").read_bytes() == b"%d" % written.index(True)
    assert [path.name for path in tmp_path.iterdir()] == ["plan"]


def test_ranges_are_slices(place, monkeypatch):
    write_file(place / "file", DATA)
    for group_bytes in (1, 600, files.GROUP_BYTES):
        monkeypatch.setattr(files, "GROUP_BYTES", group_bytes)
        pieces = list(read_ranges(place / "file", SPANS))
        assert [bytes(piece) for piece in pieces] == [DATA[start:stop] for start, stop in SPANS]
        assert {piece.dtype for piece in pieces} == {np.dtype(np.uint8)}
    assert list(read_ranges(place / "file", [])) == []


def test_local_ranges_are_views_of_one_map(tmp_path):
    write_file(tmp_path / "file", DATA)
    first, second = read_ranges(tmp_path / "file", [(0, 10), (5, 10)])
    assert np.shares_memory(first, second)


@pytest.mark.parametrize("span", [(1000, 1281), (1280, 1281), (5000, 6000)])
def test_a_range_past_the_end_is_damage(place, span):
    write_file(place / "file", DATA)
    with pytest.raises(CorruptStoreError, match=f"file is damaged: it ends before byte {span[1]}"):
        list(read_ranges(place / "file", [(0, 3), span]))


@given(st.lists(st.tuples(st.integers(0, 2**40), st.integers(1, 2**27)), max_size=30))
def test_groups_are_bounded_and_keep_the_order(starts_and_lengths):
    spans = [(start, start + length) for start, length in starts_and_lengths]
    groups = list(files._groups(spans))
    assert [span for group in groups for span in group] == spans
    for group in groups:
        assert len(group) == 1 or sum(stop - start for start, stop in group) <= files.GROUP_BYTES


def test_missing_files(place):
    write_file(place / "file", DATA)
    for absent in (place / "nothing", place / "nowhere" / "nothing"):
        for read in (read_file, file_size, lambda path: list(read_ranges(path, [(0, 1)]))):
            with pytest.raises(FileNotFoundError) as caught:
                read(absent)
            assert str(absent) in str(caught.value)
        remove_file(absent)
    assert read_files([place / "nothing", place / "file", place / "file"]) == [None, DATA, DATA]
    assert file_sizes(place / "nowhere") == {}


def test_sizes_and_removal(place):
    names = {"a": 1, "b/c": 2, "b/d/e": 300}
    for name, size in names.items():
        write_file(place / name, bytes(size))
    write_file(place.parent / f"{place.name}-sibling", b"not below it")
    assert file_sizes(place) == names
    assert file_sizes(place, ["b/c", "absent"]) == {"b/c": 2}
    remove_file(place / "b/c")
    assert file_sizes(place) == {"a": 1, "b/d/e": 300}
    remove_tree(place)
    assert file_sizes(place) == {}
    assert file_exists(place.parent / f"{place.name}-sibling")


def test_another_process_is_seen(s3_place):
    """Listings that fsspec remembers must not hide what others write."""
    assert file_sizes(s3_place.parent).get("new") is None
    other = UPath(s3_place, skip_instance_cache=True)
    assert other.fs is not s3_place.fs
    other.fs.pipe_file(other.path, b"new")
    assert file_size(s3_place) == 3


@pytest.mark.slow
def test_a_large_file_is_uploaded_in_pieces(s3_place):
    data = np.random.default_rng(0).bytes(101 * 2**20)
    write_file(s3_place, data)
    assert file_size(s3_place) == len(data)
    assert b"".join(map(bytes, read_blocks(s3_place))) == data


def test_free_space_is_a_matter_of_disks(tmp_path, s3_place):
    free = free_space(tmp_path / "not" / "yet")
    assert free is not None
    assert free > 0
    assert free_space(s3_place) is None


def test_a_bucket_that_does_not_exist(s3_endpoint):
    place = UPath("s3://nobucket/store", endpoint_url=s3_endpoint, key="testing", secret="testing")
    with pytest.raises(OSError, match="bucket does not exist") as caught:
        write_file(place, b"1")
    assert caught.value.errno == errno.ENOENT
    assert file_sizes(place) == {}


def unreachable(**options):
    config = {"retries": {"max_attempts": 0}, "connect_timeout": 1}
    return UPath("s3://bucket/x", endpoint_url="http://127.0.0.1:9", config_kwargs=config, **options)


@pytest.mark.parametrize("use", [read_file, file_size, lambda path: write_file(path, b""), file_sizes])
def test_a_server_that_does_not_answer(use):
    place = unreachable(key="testing", secret="testing")
    with pytest.raises(StoreError, match=r"s3://bucket/x cannot be read or written.*127\.0\.0\.1:9.*AWS_ENDPOINT_URL"):
        use(place)
    with pytest.raises(StoreError, match="cannot be read or written"):
        read_files([place, place])


def test_nothing_temporary_stays(tmp_path):
    write_file(tmp_path / "file", DATA)
    (tmp_path / "folder").mkdir()
    with pytest.raises(IsADirectoryError):
        write_file(tmp_path / "folder", DATA)
    assert sorted(path.name for path in Path(tmp_path).iterdir()) == ["file", "folder"]
