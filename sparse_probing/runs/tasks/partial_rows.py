"""Finished rows of a task that is not finished, kept so that an interrupted task continues where it ended."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from probing_datasets.foundation.atomic_files import atomic_file
from sparse_probing.studies.base.result_rows import SCHEMA, write_rows

PARTIAL = "partial"
"""Folder of a run that holds them, by task."""
INTERRUPTED = "interrupted"
"""Name of the rows that a search had when a signal ended it; for people to read, a task does not continue from them."""


class Checkpoints:
    """The kept rows of one task, by name."""

    def __init__(self, run_path: Path, key: str) -> None:
        self.folder = run_path / PARTIAL / key

    def path(self, name: str) -> Path:
        """Return the file of the rows of a name."""
        return self.folder / f"{name}.parquet"

    def read(self, name: str) -> list[dict[str, Any]] | None:
        """Return kept rows; None when there are none, or not of this version."""
        try:
            return pq.read_table(self.path(name), schema=SCHEMA).to_pylist()
        except (OSError, pa.ArrowException):
            return None

    def keep(self, name: str, rows: list[dict[str, Any]]) -> Path:
        """Write rows atomically; return their file."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with atomic_file(self.path(name)) as path:
            write_rows(rows, path)
        return self.path(name)

    def remove(self) -> None:
        """Remove all rows, when the task is published."""
        shutil.rmtree(self.folder, ignore_errors=True)
