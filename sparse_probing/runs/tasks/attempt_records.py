"""Attempts: which tasks were started, by which process, and why they failed.

The record of an attempt is written when it starts. It is removed when the task is finished, or is
interrupted by a signal that the process handles. A record that remains holds the error that ended the
attempt, or no error: then the process is still running, or was killed.
"""

from __future__ import annotations

import os
import re
import socket
import time
import traceback
from collections.abc import Container
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from probing_datasets.foundation.environment import read_settings
from probing_datasets.foundation.errors import DamagedFileError, SparseProbingError
from probing_datasets.foundation.files.regular_files import names_in
from probing_datasets.foundation.files.sealed_json import read_sealed, write_sealed
from sparse_probing.runs.locks import is_locked
from sparse_probing.runs.warn_once import warn_once

ATTEMPTS = "attempts"
LOCK = ".lock"
"""End of the name of a lock file."""
FILE_NAME = re.compile(r"(?P<key>[0-9a-z]+)\.\d+\.json")
"""Key of the task, and when the attempt began, in nanoseconds."""


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
    path = run_path / ATTEMPTS / f"{key}.{time.time_ns()}.json"
    write_sealed(path, _attempt_of_this_process(key, submission))
    return path


def _attempt_of_this_process(key: str, submission: str) -> Attempt:
    started = datetime.now(UTC).isoformat(timespec="seconds")
    return Attempt(key, submission, read_settings().job_id, socket.gethostname(), os.getpid(), started)


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
    attempt = read_attempt(path) or _attempt_of_this_process(path.name.split(".")[0], submission="")
    write_sealed(path, replace(attempt, message=text or type(error).__name__, traceback=trace))


def end_attempt(path: Path) -> None:
    """Remove the record of an attempt whose task is finished, or was interrupted by a handled signal."""
    for file in (path, attempt_lock(path)):
        with suppress(OSError):
            file.unlink()


def read_attempt(path: Path) -> Attempt | None:
    """Read the record of an attempt; None, with a warning, when it is damaged: a task does not depend on it."""
    try:
        attempt = read_sealed(path, Attempt, remedy="")
    except FileNotFoundError:  # the task was finished since the folder was listed
        return None
    except (OSError, DamagedFileError) as error:
        warn_once(f"A record of an attempt is not used: {error}")
        return None
    if attempt.key == path.name.split(".")[0]:
        return attempt
    warn_once(f"A record of an attempt is not used: {path} is about the task {attempt.key}.")
    return None


def attempts_of(run_path: Path, key: str) -> list[Attempt]:
    """Return the recorded attempts at a task, from the first to the last."""
    attempts = map(read_attempt, sorted((run_path / ATTEMPTS).glob(f"{key}.*.json")))
    return [attempt for attempt in attempts if attempt is not None]


def last_attempts(run_path: Path, keys: Container[str]) -> dict[str, Attempt]:
    """Return the last attempt at each of the tasks that has a recorded one."""
    attempts: dict[str, Attempt] = {}
    for name in reversed(names_in(run_path / ATTEMPTS)):
        match = FILE_NAME.fullmatch(name)
        if match and match["key"] in keys and match["key"] not in attempts:
            attempt = read_attempt(run_path / ATTEMPTS / name)
            if attempt is not None:
                attempts[match["key"]] = attempt
    return attempts
