"""Claims: which living processes write into a folder of results.

Each process holds a locked file in ``writers/`` while it writes. The operating system releases the lock when the
process ends, however it ends, so a claim never outlives its process. A claim contains the digest of the plan and the
share of the process: processes with the same plan and other shares write side by side, all others are refused.
Object stores have no locks; there, only the exclusive creation of the plan keeps two plans apart.
"""

from __future__ import annotations

import errno
import logging
import os
import re
import socket
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from filelock import FileLock, Timeout

from probing_datasets.foundation.errors import CorruptStoreError, StoreError
from probing_datasets.foundation.files.atomic_files import TEMPORARY_PREFIX
from sparse_probing.activations.stores.storage.locations import StorePath, local_path

logger = logging.getLogger(__name__)

WRITERS, GUARD = "writers", "guard"
WAIT_SECONDS = 3.0
"""How long a process waits for another one: a launch that finds nothing to do ends within this time."""
POLL_SECONDS = 0.1
ATTEMPTS = 20
"""Attempts to use a folder of claims that other processes remove when they end."""


@dataclass(frozen=True)
class Claim:
    """What the name of a claim says."""

    digest: str
    """First characters of the digest of the plan."""
    rank: int
    world_size: int
    host: str
    pid: int

    @classmethod
    def of(cls, digest: str, rank: int, world_size: int) -> Self:
        """Return the claim of this process."""
        host = re.sub(r"[^A-Za-z0-9-]", "-", socket.gethostname())[:64]
        return cls(digest[:16], rank, world_size, host, os.getpid())

    @classmethod
    def parse(cls, name: str) -> Self | None:
        """Return the claim with a file name, or None for another file."""
        fields = re.fullmatch(r"([0-9a-f]+)\.(\d{1,9})-of-(\d{1,9})\.([A-Za-z0-9-]*)\.(\d{1,9})\.[0-9a-f]+", name)
        return fields and cls(fields[1], int(fields[2]), int(fields[3]), fields[4], int(fields[5]))

    def file_name(self) -> str:
        """Return a new name for the file of this claim."""
        share = f"{self.rank}-of-{self.world_size}"
        return f"{self.digest}.{share}.{self.host}.{self.pid}.{uuid.uuid4().hex[:8]}"

    def excludes(self, other: Claim) -> bool:
        """Whether two processes must not write at the same time."""
        same_work = (self.digest, self.world_size) == (other.digest, other.world_size)
        return not same_work or self.rank == other.rank


@contextmanager
def claim_writing(folder: StorePath, digest: str, rank: int = 0, world_size: int = 1) -> Iterator[None]:
    """Claim the share of a process in a folder for as long as the context lasts.

    The only writer of a folder first removes the temporary files that killed processes left there.

    Parameters
    ----------
    folder : StorePath
        The folder of a store or of tables; made when it is missing. A URL is not claimed.
    digest : str
        Hexadecimal digest of everything that decides the files.
    rank, world_size : int
        The share of this process.

    Raises
    ------
    StoreError
        When a living process writes the same share, or with another plan or number of processes.
    CorruptStoreError
        When the folder of claims is a link.
    OSError
        When the folder cannot be written.
    """
    local = local_path(folder)
    if local is None:
        yield
        return
    mine, is_new = Claim.of(digest, rank, world_size), not local.exists()
    try:
        lock = _wait_for_claim(local, mine)
    except OSError as error:
        if error.errno not in (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS):
            raise
        logger.warning("The file system of %s has no locks: start each command only once", local)
        yield
        return
    try:
        yield
    finally:
        _release(local / WRITERS, lock)
        if is_new:
            with suppress(OSError):  # it has files now
                local.rmdir()


def _wait_for_claim(local: Path, mine: Claim) -> FileLock:
    deadline = time.monotonic() + WAIT_SECONDS
    while isinstance(lock := _try_claim(local, mine), Claim):
        if time.monotonic() > deadline:
            what = "these results" if mine.digest == lock.digest else "results with other settings"
            raise StoreError(
                f"Process {lock.pid} on host {lock.host} is writing {what} in {local} (share {lock.rank} of "
                f"{lock.world_size}). Wait until it ends, or stop it there; then run this command again."
            )
        time.sleep(POLL_SECONDS)
    return lock


def temporary_files(folder: Path) -> list[Path]:
    """Return the temporary files below a folder, of living and of killed processes."""
    return [path for path in folder.rglob(f"{TEMPORARY_PREFIX}*") if path.is_file()]


def _try_claim(folder: Path, mine: Claim) -> FileLock | Claim:
    """Return the lock of the claim of this process, or the claim of a living process that excludes it."""
    with _guarded(folder / WRITERS) as writers:
        living = _living(writers)
        if excluding := [claim for claim in living if claim.excludes(mine)]:
            return excluding[0]
        if not living:
            for leftover in temporary_files(folder):
                leftover.unlink(missing_ok=True)
        lock = FileLock(writers / mine.file_name(), fallback_to_soft=False)
        lock.acquire(timeout=0)
        return lock


def _living(writers: Path) -> list[Claim]:
    """Return the claims of living processes, and remove those of dead ones."""
    living = []
    for path in writers.iterdir():
        if (claim := Claim.parse(path.name)) is None:
            continue
        try:
            with FileLock(path, timeout=0, fallback_to_soft=False):
                path.unlink(missing_ok=True)
        except Timeout:
            living.append(claim)
    return living


def _release(writers: Path, lock: FileLock) -> None:
    """Give a claim back; the last process removes the folder of claims."""
    with suppress(OSError, Timeout), _guarded(writers):
        Path(lock.lock_file).unlink(missing_ok=True)
        lock.release()
        if not any(path.name != GUARD for path in writers.iterdir()):
            (writers / GUARD).unlink()
    lock.release()
    with suppress(OSError):  # another process uses it
        writers.rmdir()


@contextmanager
def _guarded(writers: Path) -> Iterator[Path]:
    """Hold the lock under which claims are compared and made; the folder may vanish before it is locked."""
    if writers.is_symlink():
        raise CorruptStoreError(f"{writers} is a link, and nothing is written there. Delete it.")
    for attempt in range(ATTEMPTS):
        writers.mkdir(parents=True, exist_ok=True)
        guard = FileLock(writers / GUARD, timeout=WAIT_SECONDS, fallback_to_soft=False)
        try:
            guard.acquire()
        except (FileNotFoundError, Timeout):
            if attempt == ATTEMPTS - 1:
                raise
            continue
        break
    try:
        yield writers
    finally:
        guard.release()
