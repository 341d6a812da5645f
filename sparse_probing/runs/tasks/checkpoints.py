"""Rows of a task that are kept before all of them are there, so that a task which was ended goes on where it was."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from probing_datasets.foundation.atomic_files import atomic_file
from sparse_probing.results import SCHEMA, write_rows

PARTIAL = "partial"
"""Folder of a run in which they lie, by task."""
INTERRUPTED = "interrupted"
"""Name of what a search had found when a signal ended it; for people, not for going on."""


class Checkpoints:
    """The rows of one task that are kept, by name."""

    def __init__(self, run_path: Path, key: str) -> None:
        self.folder = run_path / PARTIAL / key

    def read(self, name: str) -> list[dict[str, Any]] | None:
        """Return rows that were kept; None when there are none, or not of this version."""
        try:
            return pq.read_table(self._path(name), schema=SCHEMA).to_pylist()
        except (OSError, pa.ArrowException):
            return None

    def keep(self, name: str, rows: list[dict[str, Any]]) -> Path:
        """Write rows atomically; return where."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with atomic_file(self._path(name)) as path:
            write_rows(rows, path)
        return self._path(name)

    def remove(self) -> None:
        """Remove all, for the task is published."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.parquet"
