"""Locks between processes: held by an open file, so that they end with the process, however it ends."""

from __future__ import annotations

import errno
import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import lock_descriptor

from probing_datasets.foundation.errors import DamagedFileError
from probing_datasets.foundation.files.regular_files import NOT_THERE, open_regular_file

logger = logging.getLogger(__name__)

NOT_SUPPORTED = (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS)
PAUSES = (0.0, 0.01)
"""Seconds before each of two looks at a lock: another process that looks at it holds it for a moment too."""


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Wait until no other process holds the lock of a file, and hold it. On Windows nobody can read the file then.

    On a file system without locks there is only a warning: two launches at the same moment then run some tasks
    twice, and results are still whole.

    Raises
    ------
    DamagedFileError
        When a pipe, a folder or another thing than a file is in the place of the lock.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        file = open_regular_file(path, os.O_RDWR | os.O_CREAT)
    except (ValueError, IsADirectoryError) as error:
        raise DamagedFileError(
            f"{path} cannot be locked ({error}). Delete it and run the same command again."
        ) from error
    with file:
        try:
            lock_descriptor(file.fileno())
        except OSError as error:
            if error.errno not in NOT_SUPPORTED:
                raise
            logger.warning("The file system of %s has no locks. Launch one command at a time.", path.parent)
        yield


def is_locked(path: Path) -> bool:
    """Whether a process holds the lock of a file; never when it is another thing than a file."""
    try:
        for pause in PAUSES:
            time.sleep(pause)
            try:
                file = open_regular_file(path, os.O_RDWR)  # some network file systems lock only files open for writing
            except PermissionError:  # a run of another user
                file = open_regular_file(path)
            with file:
                if lock_descriptor(file.fileno(), blocking=False):
                    return False
    except (ValueError, IsADirectoryError):
        return False
    except OSError as error:
        if error.errno not in (*NOT_SUPPORTED, *NOT_THERE):
            raise
        return False
    return True
