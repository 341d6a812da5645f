"""Files and folders that may be something else: a pipe has no end, and one wrong path must not stop a whole command."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

NOT_THERE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)
"""Errors of paths that lead to nothing: also a file in place of a folder, and a link to itself."""


MAX_BYTES = 2**28
"""Largest file that is read whole where the caller gives no other limit: 256 MiB. The record of a run of 100,000 tasks
takes a tenth of it."""


def open_regular_file(path: Path, flags: int = os.O_RDONLY) -> BinaryIO:
    """Open a file for reading, or with ``os.O_RDWR`` also for writing; never wait for a pipe.

    Raises
    ------
    ValueError
        When it is a pipe, a socket or a device.
    OSError
        When it cannot be opened, or is a folder.
    """
    try:
        descriptor = os.open(path, flags | getattr(os, "O_NONBLOCK", 0), 0o666)  # a pipe without a writer blocks
    except OSError as error:
        if error.errno == errno.ENXIO:  # a socket
            raise ValueError("not a regular file") from error
        raise
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        raise ValueError("not a regular file")
    return os.fdopen(descriptor, "r+b" if flags & os.O_RDWR else "rb")


def read_regular_file(path: Path, max_bytes: int = MAX_BYTES) -> bytes:
    """Return the bytes of a file.

    Raises
    ------
    ValueError
        When it is not a regular file (a device and a pipe have no end), or has more than ``max_bytes``.
    OSError
        When it cannot be read.
    """
    try:
        opened = open_regular_file(path)
    except IsADirectoryError as error:
        raise ValueError("not a regular file") from error
    with opened as file:
        size = os.fstat(file.fileno()).st_size
        if size > max_bytes:
            raise ValueError(f"{size:,} bytes; at most {max_bytes:,} are read")
        return file.read(size + 1)  # not max_bytes, for which Python would allocate memory


def read_end(path: Path, max_bytes: int) -> tuple[bytes, bool]:
    """Return the last bytes of a file, and whether they are the whole file.

    Raises
    ------
    ValueError
        When it is a pipe, a socket or a device.
    OSError
        When it cannot be read, or is a folder.
    """
    with open_regular_file(path) as file:
        start = max(0, os.fstat(file.fileno()).st_size - max_bytes)
        file.seek(start)
        return file.read(max_bytes), start == 0


def names_in(folder: Path) -> list[str]:
    """Return the sorted names in a folder; none when there is no such folder, or something else in its place."""
    try:
        return sorted(os.listdir(folder))
    except OSError as error:
        if error.errno in NOT_THERE:
            return []
        raise
