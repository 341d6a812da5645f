"""What every activation store does, whatever its encoding.

A store is a folder::

    plan.json           the plan and the checksums of the metadata, sealed; written last by create()
    rows.parquet        the sequence and position of every row
    parts/000003.json   the checksums of the files of part 3, sealed; written after them
    ...                 the activations, in files that the encoding names

Every file appears whole or not at all. A part is finished when its record stands, so an
interrupted harvest goes on with the parts that have none. Any number of processes may write
different parts at once; a part has one writer at a time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np
import torch
from numpy.typing import DTypeLike

from probing_datasets.foundation.errors import CorruptStoreError, StoreError
from sparse_probing.activations.stores.format.arrays import (
    Activations,
    ArrayKey,
    check_activations,
    check_columns,
    check_rows,
    find_array,
    stored_arrays,
)
from sparse_probing.activations.stores.format.encoding import Encoding
from sparse_probing.activations.stores.format.read_part import (
    TENSOR_DTYPES,
    Order,
    PartRows,
    empty,
    parts_of,
    read_part,
    tensor_dtype,
)
from sparse_probing.activations.stores.manifest.creation import begin_or_resume, check_same_rows
from sparse_probing.activations.stores.manifest.disk import leftovers, storage_errors
from sparse_probing.activations.stores.manifest.header import Header
from sparse_probing.activations.stores.manifest.part_records import PartLedger, PartRecord
from sparse_probing.activations.stores.manifest.row_index import ROWS, RowIndex, encode_rows, read_rows
from sparse_probing.activations.stores.manifest.verification import (
    Damage,
    damaged_metadata,
    damaged_part,
    damaged_sizes,
)
from sparse_probing.activations.stores.plan import StorePlan
from sparse_probing.activations.stores.storage.checksums import FileRecord
from sparse_probing.activations.stores.storage.files import write_file
from sparse_probing.activations.stores.storage.locations import StorePath

ALL = slice(None)


class ActivationStore(Encoding):
    """Activations at the probed positions: one array per layer and hook point.

    Make one with :meth:`create` or :meth:`open` of an encoding, which is a subclass.
    """

    def __init__(self, path: StorePath, header: Header, rows: RowIndex) -> None:
        self.path = path
        self.plan = header.plan
        self.rows = rows
        self._header = header
        self._ledger = PartLedger(path, header.digest, self._part_files)

    @classmethod
    def create(cls, path: StorePath, plan: StorePlan, sequence: np.ndarray, position: np.ndarray) -> Self:
        """Begin a store, or resume the one that stands.

        Parameters
        ----------
        path : StorePath
            Folder or URL of the store.
        plan : StorePlan
            What the store will hold.
        sequence, position : np.ndarray
            Integers, ``(plan.n_rows,)``: the token that each row is.

        Raises
        ------
        StoreError
            When a store of another plan or other rows stands at ``path``, or on a failure to write.
        CorruptStoreError
            When the plan that stands there was edited.
        """
        if not len(sequence) == len(position) == plan.n_rows:
            raise StoreError(
                f"{len(sequence)} sequences and {len(position)} positions were given for {plan.n_rows} rows "
                f"planned at {path}. Give one of each for every row."
            )
        files = {ROWS: encode_rows(sequence, position), **cls._metadata(plan)}
        begin_or_resume(path, cls.kind, plan, files)
        store = cls.open(path)
        check_same_rows(path, store.rows, (sequence, position))
        return store

    @classmethod
    def open(cls, path: StorePath) -> Self:
        """Open a store, finished or not.

        Raises
        ------
        StoreError
            When there is none, or it has another encoding.
        CorruptStoreError
            When the plan or the row index was edited or damaged.
        """
        header = Header.read(path, cls.kind)
        return cls(path, header, read_rows(path / ROWS, header.files[ROWS]))

    @classmethod
    def n_files(cls, plan: StorePlan) -> int:
        """Return the number of files of a complete store, with its plan, row index and provenance."""
        return plan.n_parts * (len(stored_arrays(plan)) + 1) + len(cls._metadata(plan)) + 3

    def open_parts(self) -> list[int]:
        """Return the parts that have no valid record and must be written."""
        return self._ledger.missing(range(self.plan.n_parts))

    @property
    def is_complete(self) -> bool:
        """Whether every part has a valid record."""
        return not self.open_parts()

    @property
    def digest(self) -> str:
        """SHA-256 over the plan and all records: names the content of the finished store."""
        self._require_complete()
        return self._ledger.digest(self.plan.n_parts)

    def write_part(self, part: int, activations: Activations) -> None:
        """Write all files of a part durably, then its record.

        Parameters
        ----------
        part : int
            From 0 to ``plan.n_parts - 1``.
        activations : Mapping[tuple[str, int], np.ndarray]
            For every hook point and layer of the plan ``(rows of the part, width)`` in
            ``plan.buffer_dtype`` (for bfloat16 its bits as uint16; for precision 8 float32).

        Raises
        ------
        StoreError
            When an array is missing or has the wrong shape or dtype or cannot be quantised, or on
            a failure to write.
        """
        check_activations(self.plan, part, activations)
        self.discard_part(part)
        files = self._encode_part(part, activations)
        self.record_part(part, {name: self._write_file(name, data) for name, data in files})

    def discard_part(self, part: int) -> None:
        """Remove the record of a part, so that the next run writes the part again."""
        with storage_errors(self.path, self._ledger.path(part)):
            self._ledger.discard(part)

    def read(
        self,
        layer: int,
        hook_point: str | None = None,
        rows: slice | np.ndarray = ALL,
        columns: np.ndarray | None = None,
        dtype: DTypeLike | None = np.float32,
        order: Order = "C",
    ) -> np.ndarray:
        """Return activations of a layer, touching only the files and column blocks in question.

        Blocks that are read whole (all rows of a part) are compared with their checksums.

        Parameters
        ----------
        layer : int
            Number of the layer in the model.
        hook_point : str, optional
            May be left out when the store has only one.
        rows : slice or np.ndarray
            A slice or increasing integers.
        columns : np.ndarray, optional
            The neurons to read, in this order. Default all.
        dtype : dtype, optional
            float16, float32 (holds every precision exactly) or float64. None: as stored, which for
            bfloat16 and precision 8 is float32.
        order : {"C", "F"}
            Memory order of the result; with ``F`` the values of each neuron are neighbours.

        Returns
        -------
        np.ndarray
            ``(rows, columns)``.

        Raises
        ------
        StoreError
            When the store is unfinished or damaged, or has no such layer, hook point, rows or columns.
        """
        known = tensor_dtype(dtype, self.plan.precision)
        return self._read(layer, hook_point, rows, columns, known, order).numpy()

    def read_torch(
        self,
        layer: int,
        hook_point: str | None = None,
        rows: slice | np.ndarray = ALL,
        columns: np.ndarray | None = None,
        order: Order = "C",
    ) -> torch.Tensor:
        """Return what :meth:`read` does, as a tensor in the stored precision: float16, float32 or bfloat16.

        Precision 8 gives float32.
        """
        return self._read(layer, hook_point, rows, columns, TENSOR_DTYPES[self.plan.precision], order)

    def _read(
        self,
        layer: int,
        hook_point: str | None,
        rows: slice | np.ndarray,
        columns: np.ndarray | None,
        dtype: torch.dtype,
        order: Order,
    ) -> torch.Tensor:
        self._require_complete()
        key = find_array(self.path, self.plan, layer, hook_point)
        width = self.plan.widths[key[0]]
        rows = check_rows(rows, self.plan.n_rows)
        columns = None if columns is None else check_columns(columns, width)
        out = empty(len(rows), width if columns is None else len(columns), dtype, order)
        for part_rows in parts_of(self.plan, rows):
            self._read_part(key, part_rows, columns, out[part_rows.outside])
        return out

    def _read_part(self, key: ArrayKey, rows: PartRows, columns: np.ndarray | None, out: torch.Tensor) -> None:
        files = [(self.path / name, layout) for name, layout in self._layer_files(key, rows.part)]
        try:
            read_part(files, rows, columns, self.plan.block_rows, out)
        except CorruptStoreError as error:
            raise CorruptStoreError(f"Layer {key[1]}, part {rows.part}: {error}") from error

    def part_record(self, part: int) -> PartRecord | None:
        """Return length and checksum of every file of a part, or None when the part is not finished."""
        return self._ledger.get(part)

    def record_part(self, part: int, record: PartRecord) -> None:
        """Declare a part finished whose files were put in place by other means than :meth:`write_part`."""
        with self._writing(self._ledger.path(part)):
            self._ledger.write(part, record)

    def verify(self, parts: Iterable[int] | None = None) -> list[Damage]:
        """Read every file, of all or some parts, and return those that are missing or not as they were written.

        Parts without a record are unfinished, not damaged: see :meth:`open_parts`.
        """
        found = list(damaged_metadata(self.path, self._header))
        for part in range(self.plan.n_parts) if parts is None else parts:
            found += damaged_part(self.path, part, self._ledger, self._part_files(part))
        return found

    def damaged_sizes(self, parts: Iterable[int] | None = None) -> list[Damage]:
        """Return the files of finished parts that are missing or of another size; nothing is read."""
        parts = range(self.plan.n_parts) if parts is None else parts
        return list(damaged_sizes(self.path, parts, self._ledger, self._part_files))

    def _require_complete(self) -> None:
        if missing := self.open_parts():
            raise StoreError(
                f"The store at {self.path} is unfinished: {len(missing)} of {self.plan.n_parts} parts are "
                "missing. Run the stage-1 command that began it again; it writes only those."
            )

    def _write_file(self, name: str, data: memoryview) -> FileRecord:
        with self._writing(self.path / name):
            write_file(self.path / name, data)
        return FileRecord.of(data)

    @contextmanager
    def _writing(self, path: StorePath) -> Iterator[None]:
        with storage_errors(self.path, path):
            for leftover in self._leftovers.pop(path, []):
                leftover.unlink(missing_ok=True)
            yield

    @cached_property
    def _leftovers(self) -> dict[StorePath, list[Path]]:
        """Temporary files of killed processes, and of living ones that write other parts."""
        return leftovers(self.path)
