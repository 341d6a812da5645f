"""Attempts: which tasks were started, by which process, and why they failed.

The record of an attempt is written when it starts. It is removed when the task is finished, or is
interrupted by a signal that the process handles. A record that remains holds the error that ended the
attempt, or no error: then the process is still running, or was killed.
"""

from __future__ import annotations

import os
import socket
import time
import traceback
from collections.abc import Container
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from probing_datasets.foundation.atomic_files import TEMPORARY_PREFIX, read_json, write_json
from probing_datasets.foundation.environment import read_settings
from probing_datasets.foundation.errors import SparseProbingError
from sparse_probing.runs.locks import is_locked

ATTEMPTS = "attempts"
LOCK = ".lock"
"""End of the name of a lock file."""


@dataclass(frozen=True)
class Attempt:
    """One attempt at a task."""

    key: str
    submission: str
    job: str | None
    """The Slurm job in which it ran."""
    host: str
    pid: int
    started: str
    """ISO 8601, UTC."""
    message: str = ""
    """Why the task failed; empty when it has not."""
    traceback: str = ""


def begin_attempt(run_path: Path, key: str, submission: str) -> Path:
    """Record that a task starts; return the file of the record."""
    started = datetime.now(UTC).isoformat(timespec="seconds")
    attempt = Attempt(key, submission, read_settings().job_id, socket.gethostname(), os.getpid(), started)
    path = run_path / ATTEMPTS / f"{key}.{time.time_ns()}.json"
    write_json(path, asdict(attempt))
    return path


def is_attempted(run_path: Path, key: str) -> bool:
    """Whether a process is running a task now; a copy of this one on a node that Slurm lost, for example."""
    return any(is_locked(path) for path in (run_path / ATTEMPTS).glob(f"{key}.*{LOCK}"))


def attempt_lock(path: Path) -> Path:
    """Return the file that the process of an attempt locks: beside its record, which others read meanwhile."""
    return path.with_suffix(LOCK)


def fail_attempt(path: Path, error: Exception) -> None:
    """Record why an attempt failed."""
    text = str(error) if isinstance(error, SparseProbingError) else f"{type(error).__name__}: {error}"
    trace = "".join(traceback.format_exception(error))
    write_json(path, asdict(replace(read_attempt(path), message=text or type(error).__name__, traceback=trace)))


def end_attempt(path: Path) -> None:
    """Remove the record of an attempt whose task is finished, or was interrupted by a handled signal."""
    for file in (path, attempt_lock(path)):
        with suppress(OSError):
            file.unlink()


def read_attempt(path: Path) -> Attempt:
    """Read the record of an attempt."""
    return Attempt(**read_json(path))


def attempts_of(run_path: Path, key: str) -> list[Attempt]:
    """Return the recorded attempts at a task, from the first to the last."""
    return [read_attempt(path) for path in sorted((run_path / ATTEMPTS).glob(f"{key}.*.json"))]


def last_attempts(run_path: Path, keys: Container[str]) -> dict[str, Attempt]:
    """Return the last attempt at each of the tasks that has a recorded one."""
    try:
        every_name = os.listdir(run_path / ATTEMPTS)
        names = sorted(n for n in every_name if not n.startswith(TEMPORARY_PREFIX) and not n.endswith(LOCK))
    except FileNotFoundError:
        return {}
    last_names = {name.split(".")[0]: name for name in names}
    attempts = {}
    for key, name in last_names.items():
        if key in keys:
            with suppress(FileNotFoundError):  # the task was finished since the folder was listed
                attempts[key] = read_attempt(run_path / ATTEMPTS / name)
    return attempts
