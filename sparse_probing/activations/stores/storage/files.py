"""Read and write the files of a store, in a local folder or behind a URL that fsspec opens.

Locally every file is written under a temporary name, flushed and renamed; an object store makes
a file visible when its upload is complete. So a file appears whole or not at all.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
from upath import UPath

from probing_datasets.foundation.errors import CorruptStoreError, StoreError
from probing_datasets.foundation.files.atomic_files import fsync_path, temporary_sibling, write_bytes
from probing_datasets.foundation.files.regular_files import MAX_BYTES, read_regular_file
from sparse_probing.activations.stores.storage.locations import (
    StorePath,
    is_local,
    local_path,
    remote_files,
    unreachable,
)

Span = tuple[int, int]
"""First byte, and the byte after the last."""

LOCAL_BLOCK_BYTES = 2**20
REMOTE_BLOCK_BYTES = 2**23
GROUP_BYTES = 2**26
"""Bytes that are fetched at once and held at a time."""
LARGEST_FILE = 2**40


def write_file(path: StorePath, data: bytes | memoryview) -> None:
    """Write a file, whole or not at all, and durably.

    Raises
    ------
    OSError
        When a local file cannot be written, or a bucket does not exist.
    StoreError
        When a remote place cannot be reached or refuses.
    """
    if local := local_path(path):
        write_bytes(local, data)
    else:
        with remote_files(path) as (fs, name):
            fs.pipe_file(name, bytes(data))


def write_new_file(path: StorePath, data: bytes) -> bool:
    """Write a file as `write_file` does, unless it exists; return whether it was written.

    Of several processes that do this at the same time, exactly one writes the file; on file systems without links,
    and object stores without conditional writes, the last one does.
    """
    if local := local_path(path):
        whole = temporary_sibling(local)
        write_bytes(whole, data)
        try:
            os.link(whole, local)
        except FileExistsError:
            return False
        except OSError:  # a file system without links
            if os.path.lexists(local):
                return False
            whole.replace(local)
        finally:
            whole.unlink(missing_ok=True)
        fsync_path(local.parent)
        return True
    if file_exists(path):
        return False
    with remote_files(path) as (fs, name):
        try:
            fs.pipe_file(name, data, mode="create")
        except FileExistsError:
            return False
        except (TypeError, ValueError, NotImplementedError):  # a file system that cannot write conditionally
            fs.pipe_file(name, data)
    return True


def read_file(path: StorePath, max_bytes: int | None = None) -> bytes:
    """Return the bytes of a file; FileNotFoundError when it is missing.

    Raises
    ------
    ValueError
        When it is larger than ``max_bytes``, or a local file is a device or a pipe.
    """
    if local := local_path(path):
        return read_regular_file(local, LARGEST_FILE if max_bytes is None else max_bytes)
    if max_bytes is not None and file_size(path) > max_bytes:
        raise ValueError(f"more than {max_bytes:,} bytes")
    with remote_files(path) as (fs, name):
        return fs.cat_file(name)


def read_files(paths: Sequence[StorePath]) -> list[bytes | None]:
    """Return the bytes of many small files; None for files that cannot be read on a disk, or do not exist at a URL.

    All files behind a URL are fetched at once.

    Raises
    ------
    StoreError
        When a remote place cannot be reached or refuses.
    """
    contents: list[bytes | None] = []
    if not paths or is_local(paths[0]):
        for path in paths:
            try:
                contents.append(read_file(path, MAX_BYTES))
            except (OSError, ValueError):
                contents.append(None)
        return contents
    with remote_files(paths[0]) as (fs, _):
        fetched = fs.cat([path.path for path in map(UPath, paths)], on_error="return", recursive=False)
    for path in paths:
        content = fetched.get(UPath(path).path)
        if isinstance(content, Exception) and not isinstance(content, FileNotFoundError):
            raise unreachable(path, content) from content
        contents.append(content if isinstance(content, bytes) else None)
    return contents


def read_ranges(path: StorePath, spans: Sequence[Span]) -> Iterator[np.ndarray]:
    """Yield byte ranges of a file as uint8 arrays.

    Parameters
    ----------
    path : StorePath
        A local file is mapped into memory and not copied. Of a remote file, ranges of together at most
        64 MiB (or a single larger range) are fetched at a time.
    spans : Sequence[tuple[int, int]]
        First byte, and the byte after the last, of every range; no range may be empty.

    Raises
    ------
    FileNotFoundError
        When the file is missing.
    CorruptStoreError
        When the file ends before a range does.
    StoreError
        When a remote place cannot be reached or refuses.
    """
    local = local_path(path)
    if local is None:
        return _fetch_ranges(path, spans)
    # Copy on write: never written to, but PyTorch cannot share arrays that are read-only.
    data = np.asarray(np.memmap(local, np.uint8, "c")) if local.stat().st_size else np.empty(0, np.uint8)
    return (_whole(path, span, data[slice(*span)]) for span in spans)


def read_blocks(path: StorePath) -> Iterator[bytes | np.ndarray]:
    """Yield the bytes of a file from its beginning to its end, in blocks of bounded size."""
    if local := local_path(path):
        with local.open("rb") as file:
            while block := file.read(LOCAL_BLOCK_BYTES):
                yield block
    else:
        size = file_size(path)
        starts = range(0, size, REMOTE_BLOCK_BYTES)
        yield from _fetch_ranges(path, [(start, min(start + REMOTE_BLOCK_BYTES, size)) for start in starts])


def file_size(path: StorePath) -> int:
    """Return the number of bytes of a file; FileNotFoundError when it is missing, or a folder, device or pipe."""
    if local := local_path(path):
        status = local.stat()
        if not stat.S_ISREG(status.st_mode):
            raise FileNotFoundError(errno.ENOENT, "not a regular file", str(path))
        return status.st_size
    with remote_files(path) as (fs, name):
        info = fs.info(name)
    if info["type"] == "directory":
        raise FileNotFoundError(f"{path} is a folder")
    return info["size"]


def file_exists(path: StorePath) -> bool:
    """Whether a file exists."""
    try:
        return file_size(path) >= 0
    except (FileNotFoundError, NotADirectoryError):
        return False


def file_sizes(root: StorePath, names: Collection[str] | None = None) -> dict[str, int]:
    """Return the number of bytes of the files below a folder, by their name relative to it.

    Parameters
    ----------
    root : StorePath
        A folder; it need not exist. A folder behind a URL is always listed whole, once.
    names : Collection[str], optional
        The files to look up; missing files are not in the result. Default all files.
    """
    sizes: dict[str, int] = {}
    if local := local_path(root):
        if names is None:
            paths = (Path(folder, name) for folder, _, in_folder in os.walk(local) for name in in_folder)
            names = [path.relative_to(local).as_posix() for path in paths]
        for name in names:
            with suppress(FileNotFoundError, NotADirectoryError):
                sizes[name] = (local / name).stat().st_size
        return sizes
    try:
        with remote_files(root) as (fs, prefix):
            listing = fs.find(prefix, detail=True)
    except FileNotFoundError:  # not even the bucket exists
        return {}
    sizes = {key.removeprefix(prefix).lstrip("/"): info["size"] for key, info in listing.items()}
    return sizes if names is None else {name: sizes[name] for name in names if name in sizes}


def remove_file(path: StorePath) -> None:
    """Remove a file, if it exists, durably."""
    if not file_exists(path):
        return
    if local := local_path(path):
        local.unlink(missing_ok=True)
        fsync_path(local.parent)
    else:
        with remote_files(path) as (fs, name):
            fs.rm_file(name)


def remove_tree(root: StorePath, first: str | None = None, kept: str | None = None) -> None:
    """Remove a folder; a local one with the file ``first`` before all others, and except the folder ``kept``."""
    if (local := local_path(root)) and (first is None or kept is None):
        shutil.rmtree(local)
    elif local and first:
        (local / first).unlink(missing_ok=True)
        for path in local.iterdir():
            if path.is_symlink() or not path.is_dir():
                path.unlink()
            elif path.name != kept:
                shutil.rmtree(path)
    else:
        with remote_files(root) as (fs, name):
            fs.rm(name, recursive=True)


def free_space(path: StorePath) -> int | None:
    """Return the free bytes of the disk of ``path``, which need not exist; None behind a URL, without such a limit."""
    if (local := local_path(path)) is None:
        return None
    existing = next(folder for folder in [local, *local.absolute().parents] if folder.exists())
    return shutil.disk_usage(existing).free


def _fetch_ranges(path: StorePath, spans: Sequence[Span]) -> Iterator[np.ndarray]:
    for group in _groups(spans):
        for span, piece in zip(group, _fetch_group(path, group), strict=True):
            yield _whole(path, span, np.frombuffer(piece, np.uint8))


def _fetch_group(path: StorePath, group: list[Span]) -> list[bytes]:
    starts, stops = map(list, zip(*group, strict=True))
    try:
        with remote_files(path) as (fs, name):
            return fs.cat_ranges([name] * len(group), starts, stops, on_error="raise")
    except StoreError as error:
        if file_size(path) < max(stops):  # object stores refuse a range beyond the end
            raise _too_short(path, max(stops)) from error
        raise


def _groups(spans: Sequence[Span]) -> Iterator[list[Span]]:
    group: list[Span] = []
    for span in spans:
        if group and span[1] - span[0] + sum(stop - start for start, stop in group) > GROUP_BYTES:
            yield group
            group = []
        group.append(span)
    if group:
        yield group


def _whole(path: StorePath, span: Span, piece: np.ndarray) -> np.ndarray:
    if len(piece) != span[1] - span[0]:
        raise _too_short(path, span[1])
    return piece


def _too_short(path: StorePath, stop: int) -> CorruptStoreError:
    return CorruptStoreError(f"{path} is damaged: it ends before byte {stop}. Run stage 1 again with --resume.")
