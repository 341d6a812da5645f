"""Read, write and check an activation store, whatever its encoding.

A store is a folder::

    plan.json           the plan and the checksums of the metadata, sealed; written last by create()
    rows.parquet        the sequence and position of every row
    parts/000003.json   the checksums of the files of part 3, sealed; written after those files
    ...                 the activations, in files that the encoding names

Every file appears whole or not at all. A part is finished when its record exists, so an
interrupted harvest resumes with the parts that have no record. Any number of processes may write
different parts at once; only one process writes a part at a time
(`sparse_probing.activations.stores.storage.writers`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Self

import numpy as np

from probing_datasets.foundation.errors import CorruptStoreError, StoreError
from sparse_probing.activations.stores.format.blocks import REPAIR
from sparse_probing.activations.stores.format.readable_layers import ReadableLayers
from sparse_probing.activations.stores.format.stored_arrays import Activations, check_activations, stored_arrays
from sparse_probing.activations.stores.manifest.creation import check_same_rows, create_or_resume
from sparse_probing.activations.stores.manifest.damage import (
    Damage,
    damaged_metadata,
    damaged_part,
    damaged_sizes,
)
from sparse_probing.activations.stores.manifest.disk_space import storage_errors
from sparse_probing.activations.stores.manifest.part_records import PartLedger, PartRecord
from sparse_probing.activations.stores.manifest.plan_file import Header
from sparse_probing.activations.stores.manifest.row_index import ROWS, RowIndex, encode_rows, read_rows
from sparse_probing.activations.stores.number_ranges import number_ranges, show_ranges
from sparse_probing.activations.stores.plan import StorePlan
from sparse_probing.activations.stores.storage.checksums import FileRecord
from sparse_probing.activations.stores.storage.files import write_file
from sparse_probing.activations.stores.storage.locations import StorePath


class ActivationStore(ReadableLayers):
    """Activations at the probed positions: one array per layer and hook point.

    `sparse_probing.activations.harvest.harvest` makes a store, and
    `sparse_probing.activations.stores.open_store` opens one.

    Attributes
    ----------
    path : pathlib.Path or upath.UPath
        Folder or URL of the store.
    plan : StorePlan
        What the store holds: layers, hook points, widths, number of rows, precision, fingerprint.
    rows : tuple of numpy.ndarray
        Sequence and position of every row, (n_rows,) int64 each; the position is -1 when aggregated.
    """

    def __init__(self, path: StorePath, header: Header, rows: RowIndex) -> None:
        self.path = path
        self.plan = header.plan
        self.rows = rows
        self._header = header
        self._ledger = PartLedger(path, header.digest, self._part_files)

    def __repr__(self) -> str:
        plan, n_open = self.plan, len(self.open_parts())
        model, dataset = (plan.fingerprint.get(name, "unknown") for name in ("model", "dataset"))
        layers = f"layers {show_ranges(number_ranges(plan.layers))}"
        shapes = ", ".join(f"{hook_point} {plan.n_rows:,} x {width:,}" for hook_point, width in plan.widths.items())
        progress = "complete" if not n_open else f"{plan.n_parts - n_open} of {plan.n_parts} parts"
        return (
            f"{type(self).__name__}({str(self.path)!r}, model={model!r}, dataset={dataset!r}, {layers}, {shapes}, "
            f"precision={plan.precision!r}, {progress})"
        )

    @classmethod
    def create(cls, path: StorePath, plan: StorePlan, sequence: np.ndarray, position: np.ndarray) -> Self:
        """Create a store, or open an existing one with the same plan and rows to resume it.

        Parameters
        ----------
        path : StorePath
            Folder or URL of the store.
        plan : StorePlan
            What the store will hold.
        sequence, position : np.ndarray
            Integers, ``(plan.n_rows,)``: the token of each row.

        Raises
        ------
        StoreError
            When a store with another plan or other rows exists at ``path``, or a file cannot be written.
        CorruptStoreError
            When the plan of the existing store was edited.
        """
        if not len(sequence) == len(position) == plan.n_rows:
            raise StoreError(
                f"{len(sequence)} sequences and {len(position)} positions were given for {plan.n_rows} rows "
                f"planned at {path}. Give one of each for every row."
            )
        files = {ROWS: encode_rows(sequence, position), **cls._metadata(plan)}
        create_or_resume(path, cls.kind, plan, files)
        store = cls.open(path)
        check_same_rows(path, store.rows, (sequence, position))
        return store

    @classmethod
    def open(cls, path: StorePath) -> Self:
        """Open a store, finished or not.

        Raises
        ------
        StoreError
            When there is no store at ``path``, or it has another encoding.
        CorruptStoreError
            When the plan or the row index was edited or damaged.
        """
        header = Header.read(path, cls.kind)
        return cls(path, header, read_rows(path / ROWS, header.files[ROWS], header.plan.n_rows))

    @classmethod
    def n_files(cls, plan: StorePlan) -> int:
        """Return the number of files of a complete store, with its plan, row index and provenance."""
        return plan.n_parts * (len(stored_arrays(plan)) + 1) + len(cls._metadata(plan)) + 3

    def open_parts(self, parts: Iterable[int] | None = None) -> list[int]:
        """Return the parts, of all or of the given ones, that have no valid record and must be written."""
        return self._ledger.missing(range(self.plan.n_parts) if parts is None else parts)

    @property
    def is_complete(self) -> bool:
        """Whether every part has a valid record."""
        return not self.open_parts()

    @property
    def digest(self) -> str:
        """SHA-256 of the plan and all records; it identifies the content of a complete store."""
        self._require_complete()
        return self._ledger.digest(self.plan.n_parts)

    def write_part(self, part: int, activations: Activations) -> None:
        """Write all files of a part durably, then its record.

        Parameters
        ----------
        part : int
            From 0 to ``plan.n_parts - 1``.
        activations : Mapping[tuple[str, int], np.ndarray]
            For every hook point and layer of the plan an array ``(rows of the part, width)`` in
            ``plan.buffer_dtype`` (for bfloat16 its bits as uint16; for precision 8 float32).

        Raises
        ------
        StoreError
            When an array is missing, has the wrong shape or dtype or cannot be quantised, or a file
            cannot be written.
        """
        check_activations(self.plan, part, activations)
        self.discard_part(part)
        record: PartRecord = {}
        for name, data in self._encode_part(part, activations):
            with storage_errors(self.path, self.path / name):
                write_file(self.path / name, data)
            record[name] = FileRecord.of(data)
        self.record_part(part, record)

    def discard_part(self, part: int) -> None:
        """Remove the record of a part, so that the next harvest writes the part again."""
        with storage_errors(self.path, self._ledger.path(part)):
            self._ledger.discard(part)

    def part_record(self, part: int) -> PartRecord | None:
        """Return length and checksum of every file of a part, or None when the part is not finished."""
        return self._ledger.get(part)

    def record_part(self, part: int, record: PartRecord) -> None:
        """Record as finished a part whose files were written by other means than :meth:`write_part`."""
        with storage_errors(self.path, self._ledger.path(part)):
            self._ledger.write(part, record)

    def verify(self, parts: Iterable[int] | None = None) -> list[Damage]:
        """Read every file, of all or of the given parts, and return those that are missing or have changed.

        Parts without a record are unfinished, not damaged: see :meth:`open_parts`.
        """
        damages = list(damaged_metadata(self.path, self._header))
        for part in range(self.plan.n_parts) if parts is None else parts:
            damages += damaged_part(self.path, part, self._ledger, self._part_files(part))
        return damages

    def damaged_sizes(self, parts: Iterable[int] | None = None) -> list[Damage]:
        """Return the files of finished parts that are missing or have another size; no file is read."""
        parts = range(self.plan.n_parts) if parts is None else parts
        return list(damaged_sizes(self.path, parts, self._ledger, self._part_files))

    def _check_recorded(self, part: int, names: Iterable[str]) -> None:
        record = self._ledger.get(part) or {}
        for name in names:
            if reason := record[name].damage(self.path / name):
                raise CorruptStoreError(f"{self.path / name} is not the file that was written ({reason}). {REPAIR}")

    def _require_complete(self) -> None:
        if missing := self.open_parts():
            raise StoreError(
                f"The store at {self.path} is unfinished: {len(missing)} of {self.plan.n_parts} parts are "
                "missing. Run the command that started it again; it writes only the missing parts."
            )
