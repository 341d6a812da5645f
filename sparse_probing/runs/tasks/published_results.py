"""Results of tasks: published whole, with checksums; an intact result is the only proof that a task is finished."""

from __future__ import annotations

import json
import logging
import os
import uuid
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from probing_datasets.foundation.atomic_files import atomic_folder, write_json
from probing_datasets.foundation.hashing import checksum

logger = logging.getLogger(__name__)

ROWS = "rows.parquet"
RECORD = "task.json"
TASKS = "tasks"
DAMAGED = "damaged"
CHECKED = "verified.json"
"""File of a run that remembers which results were intact, so that unchanged ones are not read again."""


def task_folder(run_path: Path, key: str) -> Path:
    """Return the folder in which the result of a task is published."""
    return run_path / TASKS / key


def read_record(run_path: Path, key: str) -> dict[str, Any] | None:
    """Return the record of a task whose result is intact; None when it is missing or damaged.

    A result is intact when it has its record, and its rows have the checksum of the record. This is the only
    function that decides so.
    """
    folder = task_folder(run_path, key)
    try:
        record = json.loads((folder / RECORD).read_text())
        intact = checksum([(folder / ROWS).read_bytes()]) == record["checksum"]
    except (OSError, ValueError, KeyError):
        return None
    return record if intact else None


def finished_tasks(run_path: Path, keys: Iterable[str]) -> list[str]:
    """Return those of the tasks that have an intact result; every result is read."""
    return [key for key in keys if read_record(run_path, key) is not None]


def publish(run_path: Path, key: str, rows: list[dict[str, Any]], record: dict[str, Any]) -> None:
    """Publish the rows of a task and its record atomically; of two processes with the same task, the first wins.

    A damaged result of the task is moved to ``damaged/``.
    """
    from sparse_probing.studies.base.result_rows import write_rows  # here: the status of a run needs no parquet

    folder = task_folder(run_path, key)
    # In this order: a result that existed before it was read and found damaged was not published meanwhile.
    if folder.exists() and read_record(run_path, key) is None:
        damaged = run_path / DAMAGED / f"{key}-{uuid.uuid4().hex[:8]}"
        damaged.parent.mkdir(exist_ok=True)
        with suppress(FileNotFoundError):  # another process with this task was faster
            folder.rename(damaged)
            logger.warning("The result of task %s was damaged; it is kept in %s", key, damaged)
    if read_record(run_path, key) is not None:
        return
    try:
        with atomic_folder(folder, replace=False) as temporary:
            write_rows(rows, temporary / ROWS)
            record = {**record, "checksum": checksum([(temporary / ROWS).read_bytes()])}
            (temporary / RECORD).write_text(json.dumps(record, indent=1, sort_keys=True) + "\n")
    except OSError:
        if read_record(run_path, key) is None:
            raise


@dataclass(frozen=True)
class CheckedResult:
    """What is known about the result of a task."""

    stamp: list[int]
    """Time of change, in nanoseconds, and size of its files: while they stay the same, it is not read again."""
    intact: bool
    seconds: float = 0
    """How long the task took."""
    failed_features: dict[str, str] = field(default_factory=dict)
    """Why features could not be probed."""


def check_results(run_path: Path, keys: Iterable[str]) -> dict[str, CheckedResult]:
    """Return what is known about the results of tasks, for the tasks that have one, intact or not.

    Only new and changed results are read. What is known is remembered in ``verified.json``.
    """
    try:
        records = json.loads((run_path / CHECKED).read_text())
        known = {key: CheckedResult(**record) for key, record in records.items()}
    except (OSError, ValueError, TypeError, AttributeError):  # missing, or damaged
        known = {}
    try:
        published = set(os.listdir(run_path / TASKS))
    except FileNotFoundError:
        published = set()
    results: dict[str, CheckedResult] = {}
    for key in sorted(set(keys) & published):
        stamp = _stamp(f"{run_path}/{TASKS}/{key}")
        if key in known and known[key].stamp == stamp:
            results[key] = known[key]
            continue
        record = read_record(run_path, key)
        if record is None:
            results[key] = CheckedResult(stamp, intact=False)
        else:
            results[key] = CheckedResult(stamp, True, record.get("seconds", 0), record.get("failed_features", {}))
    if any(known.get(key) is not result for key, result in results.items()):
        with suppress(OSError):  # the folder may belong to another user, or the disk may be full
            write_json(run_path / CHECKED, {key: asdict(result) for key, result in (known | results).items()})
    return results


def _stamp(folder: str) -> list[int]:
    """Return time of change and size of both files of a result; a string is faster than a Path for thousands."""
    stamp = []
    for name in (RECORD, ROWS):
        try:
            status = os.stat(f"{folder}/{name}")
            stamp += [status.st_mtime_ns, status.st_size]
        except FileNotFoundError:
            stamp += [0, -1]
    return stamp
