"""Files and folders that appear complete or not at all.

Everything is written under a temporary name in the folder of its destination, flushed to the
disk, and renamed. A kill at any moment leaves either the old state or the new one.
"""

from __future__ import annotations

import json
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

TEMPORARY_PREFIX = ".tmp-"


def temporary_sibling(path: Path) -> Path:
    """Return an unused temporary name in the folder of ``path``."""
    return path.with_name(f"{TEMPORARY_PREFIX}{path.name}-{os.getpid()}-{uuid.uuid4().hex[:8]}")


def fsync_path(path: Path) -> None:
    """Flush one file or folder to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path to write to; on success it becomes ``path``, durably."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_sibling(path)
    try:
        yield temporary
        fsync_path(temporary)
        temporary.replace(path)
        fsync_path(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: Path, replace: bool = True) -> Iterator[Path]:
    """Yield a temporary folder to fill; on success it becomes ``path``, durably.

    Parameters
    ----------
    path : Path
    replace : bool
        An existing folder at ``path`` is replaced by two renames, between which there is nothing at ``path``; a kill
        between them leaves the old folder under its temporary name. If False, a folder that is not empty stays.

    Raises
    ------
    OSError
        If there is a folder at ``path`` that is not to be replaced, or another process was faster.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary, old = temporary_sibling(path), temporary_sibling(path)
    temporary.mkdir()
    try:
        yield temporary
        for child in [*temporary.rglob("*"), temporary]:
            fsync_path(child)
        if replace and path.exists():
            with suppress(FileNotFoundError):
                path.replace(old)
        try:
            temporary.replace(path)
        except OSError:  # another process was faster, or the disk failed: restore the old folder
            if old.exists() and not path.exists():
                old.replace(path)
            raise
        fsync_path(path.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def write_bytes(path: Path, data: bytes | memoryview) -> None:
    """Write bytes atomically and durably."""
    with atomic_file(path) as temporary:
        temporary.write_bytes(data)


def write_json(path: Path, value: Any) -> None:
    """Write JSON with sorted keys, atomically and durably."""
    write_bytes(path, (json.dumps(value, indent=1, sort_keys=True) + "\n").encode())
