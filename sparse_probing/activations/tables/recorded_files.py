"""The files of a folder of tables: each has a sealed record of its length and checksum, made when it was written.

A file without a valid record is not finished. A file that differs from its record is never read or published: it is
removed, with a warning, and made again.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pyarrow as pa
from safetensors import SafetensorError

from probing_datasets.foundation.errors import DamagedFileError, StoreError
from probing_datasets.foundation.files.atomic_files import atomic_file
from probing_datasets.foundation.files.sealed_json import read_sealed, write_sealed
from sparse_probing.activations.stores.manifest.disk_space import check_inside
from sparse_probing.activations.stores.storage.checksums import FileRecord
from sparse_probing.activations.stores.storage.files import remove_file

logger = logging.getLogger(__name__)

RECORDS = "records"


class TableRecord(msgspec.Struct, forbid_unknown_fields=True):
    """Shape of a record."""

    plan: str
    name: str
    file: FileRecord


class RecordedFiles:
    """The files of one folder, and their records in ``records/``.

    Parameters
    ----------
    folder : Path
        Folder of the tables.
    plan_digest : str
        Digest of the plan of the folder; a record with another digest is not valid.
    """

    def __init__(self, folder: Path, plan_digest: str) -> None:
        self.folder = folder
        self._plan_digest = plan_digest

    @contextmanager
    def write(self, name: str) -> Iterator[Path]:
        """Yield a temporary path to write to; on success it becomes the file, and then its record is written.

        Raises
        ------
        StoreError
            When the file cannot be written, whatever library writes it.
        """
        path = self.folder / name
        with writing_errors(self.folder, path):
            with atomic_file(path) as temporary:
                yield temporary
                record = FileRecord.of_file(temporary)
            write_sealed(self._record_path(name), {"plan": self._plan_digest, "name": name, "file": record.to_json()})

    def record(self, name: str) -> FileRecord | None:
        """Return the record of a file; None when there is no valid one."""
        try:
            record = read_sealed(self._record_path(name), TableRecord)
        except (OSError, DamagedFileError):
            return None
        return record.file if (record.plan, record.name) == (self._plan_digest, name) else None

    def is_finished(self, name: str) -> bool:
        """Whether a file has a valid record and its length; its content is not read."""
        record = self.record(name)
        try:
            return record is not None and (self.folder / name).stat().st_size == record.nbytes
        except OSError:
            return False

    def remove_damaged(self, names: Iterable[str]) -> list[str]:
        """Compare files with their records; warn of those that differ, remove them, and return their names."""
        damaged = []
        for name in names:
            record = self.record(name)
            reason = "it has no valid record" if record is None else record.damage(self.folder / name)
            if reason:
                logger.warning("%s is made again: %s", self.folder / name, reason)
                self.remove(name)
                damaged.append(name)
        return damaged

    def remove(self, name: str) -> None:
        """Remove a file and its record."""
        for path in (self._record_path(name), self.folder / name):
            check_inside(self.folder, path)
            remove_file(path)

    def _record_path(self, name: str) -> Path:
        return self.folder / RECORDS / f"{name}.json"


@contextmanager
def writing_errors(folder: Path, path: Path) -> Iterator[None]:
    """Turn the errors of all libraries that write ``path`` of a folder of tables into a StoreError."""
    check_inside(folder, path)
    try:
        yield
    except (OSError, SafetensorError, pa.ArrowException) as error:
        # safetensors raises no OSError; its message ends in "(os error 28)".
        number = re.search(r"\(os error (\d+)\)", str(error))
        reason = os.strerror(int(number[1])) if number else getattr(error, "strerror", None) or str(error)
        raise StoreError(
            f"Cannot write {path}: {reason}. Finished parts are kept. Free space or fix the cause, and run the same "
            "command again."
        ) from error
