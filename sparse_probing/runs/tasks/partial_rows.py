"""Finished rows of a task that is not finished, kept so that an interrupted task continues where it ended."""

from __future__ import annotations

import logging
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from probing_datasets.foundation.errors import DamagedFileError
from probing_datasets.foundation.files.atomic_files import atomic_file
from probing_datasets.foundation.files.regular_files import read_regular_file
from probing_datasets.foundation.files.sealed_json import read_sealed, write_sealed
from probing_datasets.foundation.hashing import checksum
from sparse_probing.runs.tasks.published_results import MAX_ROWS_BYTES
from sparse_probing.studies.base.result_rows import table_of_file, write_rows

logger = logging.getLogger(__name__)

PARTIAL = "partial"
"""Folder of a run that holds them, by task."""
INTERRUPTED = "interrupted"
"""Name of the rows that a search had when a signal ended it; for people to read, a task does not continue from them."""


@dataclass(frozen=True)
class Seal:
    """The file beside the rows, written after them."""

    task: str
    name: str
    checksum: str


class Checkpoints:
    """The kept rows of one task, by name."""

    def __init__(self, run_path: Path, key: str) -> None:
        self.key = key
        self.folder = run_path / PARTIAL / key

    def path(self, name: str) -> Path:
        """Return the file of the rows of a name."""
        return self.folder / f"{name}.parquet"

    def read(self, name: str) -> list[dict[str, Any]] | None:
        """Return kept rows; None when there are none, or when they are not what was written for this task."""
        path = self.path(name)
        try:
            rows = read_regular_file(path, MAX_ROWS_BYTES)
            if read_sealed(path.with_suffix(".json"), Seal) == Seal(self.key, name, checksum([rows])):
                return table_of_file(path, rows).to_pylist()
        except FileNotFoundError:  # an interruption between both files leaves only the first
            return None
        except (OSError, ValueError, DamagedFileError) as error:
            logger.warning("%s", error)
        logger.warning("%s is damaged: its probes are fitted again.", path)
        return None

    def keep(self, name: str, rows: list[dict[str, Any]]) -> Path:
        """Write rows atomically, then their checksum; return the file of the rows."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with atomic_file(self.path(name)) as path:
            write_rows(rows, path)
            seal = Seal(self.key, name, checksum([path.read_bytes()]))
        write_sealed(self.path(name).with_suffix(".json"), seal)
        return self.path(name)

    def remove(self) -> None:
        """Remove all rows, when the task is published."""
        shutil.rmtree(self.folder, ignore_errors=True)
