"""Files of a store, in a local folder or behind a URL that fsspec opens.

Locally every file is written under a temporary name, flushed and renamed; an object store makes
a file visible when its upload is complete. Either way a file appears whole or not at all.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
from upath import UPath

from probing_datasets.foundation.atomic_files import fsync_path, write_bytes
from probing_datasets.foundation.errors import CorruptStoreError, StoreError
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


def write_file(path: StorePath, data: bytes | memoryview) -> None:
    """Write a file, whole or not at all, and durably.

    Raises
    ------
    OSError
        When a local disk refuses, or a bucket does not exist.
    StoreError
        When a remote place cannot be reached or refuses.
    """
    if local := local_path(path):
        write_bytes(local, data)
    else:
        with remote_files(path) as (fs, name):
            fs.pipe_file(name, bytes(data))


def read_file(path: StorePath) -> bytes:
    """Return the bytes of a file; FileNotFoundError when it is missing."""
    if local := local_path(path):
        return local.read_bytes()
    with remote_files(path) as (fs, name):
        return fs.cat_file(name)


def read_files(paths: Sequence[StorePath]) -> list[bytes | None]:
    """Return the bytes of many small files, None for those that cannot be read; fetched at once when remote."""
    if not paths or is_local(paths[0]):
        return [_bytes_or_none(path) for path in paths]
    with remote_files(paths[0]) as (fs, _):
        found = fs.cat([path.path for path in map(UPath, paths)], on_error="return", recursive=False)
    return [_found_or_none(path, found.get(UPath(path).path)) for path in paths]


def read_ranges(path: StorePath, spans: Sequence[Span]) -> Iterator[np.ndarray]:
    """Yield byte ranges of a file as uint8 arrays.

    Parameters
    ----------
    path : StorePath
        A local file is mapped into memory and not copied; of a remote one, ranges of at most 64 MiB
        together (or a single larger one) are fetched at a time.
    spans : Sequence[tuple[int, int]]
        First byte, and the byte after the last, of every range; none may be empty.

    Raises
    ------
    FileNotFoundError
        When the file is missing.
    CorruptStoreError
        When it ends before a range does.
    StoreError
        When a remote place cannot be reached or refuses.
    """
    local = local_path(path)
    return _map_ranges(local, spans) if local else _fetch_ranges(path, spans)


def read_blocks(path: StorePath) -> Iterator[bytes | np.ndarray]:
    """Yield the bytes of a file from its beginning to its end, a bounded number at a time."""
    if local := local_path(path):
        with local.open("rb") as file:
            while block := file.read(LOCAL_BLOCK_BYTES):
                yield block
    else:
        size = file_size(path)
        starts = range(0, size, REMOTE_BLOCK_BYTES)
        yield from _fetch_ranges(path, [(start, min(start + REMOTE_BLOCK_BYTES, size)) for start in starts])


def file_size(path: StorePath) -> int:
    """Return the bytes of a file; FileNotFoundError when it is missing."""
    if local := local_path(path):
        return local.stat().st_size
    with remote_files(path) as (fs, name):
        info = fs.info(name)
    if info["type"] == "directory":
        raise FileNotFoundError(f"{path} is a folder")
    return info["size"]


def file_exists(path: StorePath) -> bool:
    """Whether there is a file."""
    try:
        return file_size(path) >= 0
    except (FileNotFoundError, NotADirectoryError):
        return False


def file_sizes(root: StorePath, names: Collection[str] | None = None) -> dict[str, int]:
    """Return the bytes of the files below a folder by their name relative to it.

    Parameters
    ----------
    root : StorePath
        A folder; it need not exist. Behind a URL it is listed once, whatever is asked for.
    names : Collection[str], optional
        The files to look for; those that are missing are left out. Default all.
    """
    if local := local_path(root):
        return _local_sizes(local, _local_names(local) if names is None else names)
    found = _remote_sizes(root)
    return found if names is None else {name: found[name] for name in names if name in found}


def remove_file(path: StorePath) -> None:
    """Remove a file, if it is there, durably."""
    if not file_exists(path):
        return
    if local := local_path(path):
        local.unlink(missing_ok=True)
        fsync_path(local.parent)
    else:
        with remote_files(path) as (fs, name):
            fs.rm_file(name)


def remove_tree(root: StorePath) -> None:
    """Remove a folder and all in it."""
    if local := local_path(root):
        shutil.rmtree(local)
    else:
        with remote_files(root) as (fs, name):
            fs.rm(name, recursive=True)


def free_space(path: StorePath) -> int | None:
    """Return the bytes free on the disk that ``path`` will lie on, or None where there is no such limit."""
    if (local := local_path(path)) is None:
        return None
    existing = next(folder for folder in [local, *local.absolute().parents] if folder.exists())
    return shutil.disk_usage(existing).free


def _bytes_or_none(path: StorePath) -> bytes | None:
    try:
        return read_file(path)
    except OSError:
        return None


def _found_or_none(path: StorePath, found: bytes | Exception | None) -> bytes | None:
    if isinstance(found, Exception) and not isinstance(found, FileNotFoundError):
        raise unreachable(path, found) from found
    return found if isinstance(found, bytes) else None


def _map_ranges(path: Path, spans: Sequence[Span]) -> Iterator[np.ndarray]:
    # Copy on write: never written to, but PyTorch does not share arrays that are read-only.
    data = np.asarray(np.memmap(path, np.uint8, "c")) if path.stat().st_size else np.empty(0, np.uint8)
    return (_whole(path, span, data[slice(*span)]) for span in spans)


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
        if file_size(path) < max(stops):  # object stores refuse a range that lies past the end
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


def _remote_sizes(root: StorePath) -> dict[str, int]:
    try:
        with remote_files(root) as (fs, name):
            found = fs.find(name, detail=True)
    except FileNotFoundError:  # not even the bucket
        return {}
    return {key.removeprefix(name).lstrip("/"): info["size"] for key, info in found.items()}


def _local_names(root: Path) -> list[str]:
    return [Path(folder, name).relative_to(root).as_posix() for folder, _, names in os.walk(root) for name in names]


def _local_sizes(root: Path, names: Collection[str]) -> dict[str, int]:
    sizes = {}
    for name in names:
        with suppress(FileNotFoundError, NotADirectoryError):
            sizes[name] = (root / name).stat().st_size
    return sizes
