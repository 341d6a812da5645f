"""Results of tasks: published whole, with checksums; a published result is the only proof that a task is done."""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from probing_datasets.foundation.atomic_files import atomic_folder
from probing_datasets.foundation.hashing import checksum
from sparse_probing.results import write_rows

logger = logging.getLogger(__name__)

ROWS = "rows.parquet"
RECORD = "task.json"
TASKS = "tasks"
DAMAGED = "damaged"


def task_folder(run_path: Path, key: str) -> Path:
    """Return where the result of a task is published."""
    return run_path / TASKS / key


def publish(run_path: Path, key: str, rows: list[dict[str, Any]], record: dict[str, Any]) -> None:
    """Publish the rows of a task and its record atomically; of two that do the same task, the first wins.

    A damaged result that stands there is moved to ``damaged/``.
    """
    _move_damaged_aside(run_path, key)
    if read_record(run_path, key) is not None:
        return
    try:
        with atomic_folder(task_folder(run_path, key)) as folder:
            write_rows(rows, folder / ROWS)
            record = {**record, "checksum": checksum([(folder / ROWS).read_bytes()])}
            (folder / RECORD).write_text(json.dumps(record, indent=1, sort_keys=True) + "\n")
    except OSError:
        if read_record(run_path, key) is None:
            raise


def read_record(run_path: Path, key: str) -> dict[str, Any] | None:
    """Return the record of a finished task; None when it is missing or its rows do not have their checksum."""
    folder = task_folder(run_path, key)
    try:
        record = json.loads((folder / RECORD).read_text())
        intact = checksum([(folder / ROWS).read_bytes()]) == record["checksum"]
    except (OSError, ValueError, KeyError):
        return None
    return record if intact else None


def finished_tasks(run_path: Path, keys: Iterable[str]) -> list[str]:
    """Return those of the tasks that have an intact result."""
    return [key for key in keys if read_record(run_path, key) is not None]


def _move_damaged_aside(run_path: Path, key: str) -> None:
    aside = run_path / DAMAGED / f"{key}-{uuid.uuid4().hex[:8]}"
    # In this order: what stood there before it was read and found damaged was not published meanwhile.
    if task_folder(run_path, key).exists() and read_record(run_path, key) is None:
        aside.parent.mkdir(exist_ok=True)
        with suppress(FileNotFoundError):  # another process that does this task was faster
            task_folder(run_path, key).rename(aside)
            logger.warning("The result of task %s was damaged; it is kept in %s", key, aside)
