"""Results of tasks: published whole, with checksums; an intact result is the only proof that a task is finished."""

from __future__ import annotations

import logging
import os
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from msgspec import Meta

from probing_datasets.foundation.errors import DamagedFileError
from probing_datasets.foundation.files.atomic_files import atomic_folder
from probing_datasets.foundation.files.regular_files import names_in, read_regular_file
from probing_datasets.foundation.files.sealed_json import read_sealed, write_sealed
from probing_datasets.foundation.hashing import checksum
from sparse_probing.runs.planning.run_record import Task

logger = logging.getLogger(__name__)

ROWS = "rows.parquet"
RECORD = "task.json"
TASKS = "tasks"
DAMAGED = "damaged"
MAX_SECONDS = 1e10
"""Three hundred years; infinity would make every estimate infinite."""
MAX_ROWS_BYTES = 2**40
"""Proofs of a task can take gigabytes."""
CHECKED = "verified.json"
"""File of a run that remembers which results were intact, so that ``status`` does not read unchanged ones again."""


@dataclass(frozen=True)
class TaskRecord:
    """The content of ``task.json``."""

    key: str
    task: Task
    failed_features: dict[str, str]
    """Features that could not be probed, each with the reason."""
    seconds: Annotated[float, Meta(ge=0, le=MAX_SECONDS)]
    """How long the task took."""
    job: str | None
    """The Slurm job in which it ran."""
    host: str
    versions: dict[str, str | None]
    n_rows: Annotated[int, Meta(ge=0)] = 0
    """In ``rows.parquet``, 0 when no feature could be probed; `publish` sets it."""
    checksum: str = ""
    """Of ``rows.parquet``; `publish` sets it."""


class PublishedResult(NamedTuple):
    """The intact result of a task."""

    record: TaskRecord
    rows: bytes
    """The content of ``rows.parquet``, whose checksum was compared."""


def task_folder(run_path: Path, key: str) -> Path:
    """Return the folder in which the result of a task is published."""
    return run_path / TASKS / key


def read_result(run_path: Path, key: str, task: Task) -> PublishedResult | None:
    """Return the result of a task; None when it is missing or damaged.

    A result is intact when its record has its seal and is about this task, and its rows have the checksum of
    the record. This is the only function that decides so.
    """
    folder = task_folder(run_path, key)
    try:
        record = read_sealed(folder / RECORD, TaskRecord)
        rows = read_regular_file(folder / ROWS, MAX_ROWS_BYTES)
    except (OSError, ValueError, DamagedFileError):
        return None
    is_intact = (record.key, record.task) == (key, task) and checksum([rows]) == record.checksum
    return PublishedResult(record, rows) if is_intact else None


def read_record(run_path: Path, key: str, task: Task) -> TaskRecord | None:
    """Return the record of a task whose result is intact; None when it is missing or damaged."""
    result = read_result(run_path, key, task)
    return None if result is None else result.record


def finished_tasks(run_path: Path, tasks: Mapping[str, Task]) -> list[str]:
    """Return those of the tasks that have an intact result; every result is read."""
    return [key for key, task in tasks.items() if read_record(run_path, key, task) is not None]


def publish(run_path: Path, rows: list[dict[str, Any]], record: TaskRecord) -> None:
    """Publish the rows of a task and its record atomically; of two processes with the same task, the first wins.

    A damaged result of the task is moved to ``damaged/``.
    """
    from sparse_probing.studies.base.result_rows import write_rows  # here: the status of a run needs no parquet

    key, task = record.key, record.task
    folder = task_folder(run_path, key)
    # In this order: a result that existed before it was read and found damaged was not published meanwhile.
    if os.path.lexists(folder) and read_record(run_path, key, task) is None:
        damaged = run_path / DAMAGED / f"{key}-{uuid.uuid4().hex[:8]}"
        damaged.parent.mkdir(exist_ok=True)
        with suppress(FileNotFoundError):  # another process with this task was faster
            folder.rename(damaged)
            logger.warning("The result of task %s was damaged; it is kept in %s", key, damaged)
    if read_record(run_path, key, task) is not None:
        return
    try:
        with atomic_folder(folder, replace=False) as temporary:
            write_rows(rows, temporary / ROWS)
            content = (temporary / ROWS).read_bytes()
            sealed = replace(record, n_rows=len(rows), checksum=checksum([content]))
            write_sealed(temporary / RECORD, sealed)
    except OSError:
        if read_record(run_path, key, task) is None:
            raise


@dataclass(frozen=True)
class CheckedResult:
    """What is known about the result of a task."""

    stamp: list[int]
    """Time of change, in nanoseconds, and size of its files: while they stay the same, it is not read again."""
    intact: bool
    seconds: float = 0
    """How long the task took."""
    n_rows: int = 0
    failed_features: dict[str, str] = field(default_factory=dict)
    """Why features could not be probed."""


def check_results(run_path: Path, tasks: Mapping[str, Task], read_all: bool = False) -> dict[str, CheckedResult]:
    """Return what is known about the results of tasks, for the tasks that have one, intact or not.

    What is known is remembered in ``verified.json``.

    Parameters
    ----------
    run_path : Path
    tasks : mapping
        By key.
    read_all : bool
        Read every result. Otherwise only those are read that are new or whose files have another time of change or
        size: enough to follow a run, but a bit that changed on the disk is not seen.
    """
    known: dict[str, CheckedResult] = {}
    if not read_all:
        with suppress(OSError, DamagedFileError):  # then all results are read
            known = read_sealed(run_path / CHECKED, dict[str, CheckedResult])
    results: dict[str, CheckedResult] = {}
    for key in sorted({*tasks} & {*names_in(run_path / TASKS)}):
        stamp = _stamp(f"{run_path}/{TASKS}/{key}")
        if key in known and known[key].stamp == stamp:
            results[key] = known[key]
            continue
        record = read_record(run_path, key, tasks[key])
        if record is None:
            results[key] = CheckedResult(stamp, intact=False)
        else:
            results[key] = CheckedResult(stamp, True, record.seconds, record.n_rows, record.failed_features)
    if any(known.get(key) is not result for key, result in results.items()):
        with suppress(OSError):  # the folder may belong to another user, or the disk may be full
            write_sealed(run_path / CHECKED, {key: asdict(result) for key, result in (known | results).items()})
    return results


def _stamp(folder: str) -> list[int]:
    """Return time of change and size of both files of a result; a string is faster than a Path for thousands."""
    stamp = []
    for name in (RECORD, ROWS):
        try:
            status = os.stat(f"{folder}/{name}")
            stamp += [status.st_mtime_ns, status.st_size]
        except OSError:  # missing, or there is another thing in the place of a folder or file
            stamp += [0, -1]
    return stamp
