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

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
from numpy.typing import DTypeLike

from experiments.activations.plan import StorePlan
from experiments.activations.stores.arrays import (
    Activations,
    ArrayKey,
    check_activations,
    check_columns,
    decode_bfloat16,
    find_array,
    parts_of,
    row_span,
)
from experiments.activations.stores.creation import begin_or_resume, check_same_rows
from experiments.activations.stores.disk import leftovers, storage_errors
from experiments.activations.stores.header import Header
from experiments.activations.stores.ledger import PartLedger
from experiments.activations.stores.records import FileRecord
from experiments.activations.stores.row_index import ROWS, RowIndex, encode_rows, read_rows
from experiments.activations.stores.verification import Damage, Place, damaged_metadata, damaged_part
from probing_datasets.foundation.atomic_files import atomic_file
from probing_datasets.foundation.errors import CorruptStoreError, StoreError

ALL = slice(None)


class ActivationStore(ABC):
    """Activations at the probed positions: one array per layer and hook point.

    Make one with :meth:`create` or :meth:`open`. An encoding is a subclass that says
    which files there are, how a part becomes their bytes, and how to read a span of rows.
    """

    kind: ClassVar[str]

    def __init__(self, path: Path, header: Header, rows: RowIndex) -> None:
        self.path = path
        self.plan = header.plan
        self.rows = rows
        self._header = header
        self._ledger = PartLedger(path, header.digest, self._part_files)

    @staticmethod
    @abstractmethod
    def _metadata(plan: StorePlan) -> dict[str, bytes]:
        """Return the files that describe the arrays, by name, those in deeper folders first."""

    @abstractmethod
    def _part_files(self, part: int) -> Mapping[str, Place]:
        """Return the name of every file of a part with what it holds."""

    @abstractmethod
    def _encode(self, name: str, part: int, activations: Activations) -> memoryview:
        """Return the bytes of one file of a part."""

    @abstractmethod
    def _read_part(self, key: ArrayKey, part: int, rows: slice, columns: np.ndarray | None, out: np.ndarray) -> None:
        """Copy stored values of a span of rows of a part into ``out``."""

    @classmethod
    def create(cls, path: Path, plan: StorePlan, sequence: np.ndarray, position: np.ndarray) -> Self:
        """Begin a store, or resume the one that stands.

        Parameters
        ----------
        path : Path
            Folder of the store.
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
    def open(cls, path: Path) -> Self:
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

    def open_parts(self) -> list[int]:
        """Return the parts that have no valid record and must be written."""
        return [part for part in range(self.plan.n_parts) if self._ledger.get(part) is None]

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
            ``plan.stored_dtype`` (for bfloat16 its bits as uint16).

        Raises
        ------
        StoreError
            When an array is missing or has the wrong shape or dtype, or on a failure to write.
        """
        check_activations(self.plan, part, activations)
        self.discard_part(part)
        record = {name: self._write_file(name, part, activations) for name in self._part_files(part)}
        with self._writing(self._ledger.path(part)):
            self._ledger.write(part, record)

    def discard_part(self, part: int) -> None:
        """Remove the record of a part, so that the next run writes the part again."""
        with storage_errors(self.path, self._ledger.path(part)):
            self._ledger.discard(part)

    def read(
        self,
        layer: int,
        hook_point: str | None = None,
        rows: slice = ALL,
        columns: np.ndarray | None = None,
        dtype: DTypeLike = np.float32,
    ) -> np.ndarray:
        """Return activations of a layer, touching only the files and column blocks in question.

        Blocks that are read whole (all rows of a part) are compared with their checksums.

        Parameters
        ----------
        layer : int
            Number of the layer in the model.
        hook_point : str, optional
            May be left out when the store has only one.
        rows : slice
            With step 1.
        columns : np.ndarray, optional
            The neurons to read, in this order. Default all.
        dtype : dtype
            float32 holds every precision exactly.

        Returns
        -------
        np.ndarray
            ``(rows, columns)``.

        Raises
        ------
        StoreError
            When the store is unfinished or damaged, or has no such layer, hook point or columns.
        """
        self._require_complete()
        key = find_array(self.path, self.plan, layer, hook_point)
        if columns is not None:
            columns = check_columns(columns, self.plan.widths[key[0]])
        span = row_span(rows, self.plan.n_rows)
        if self.plan.precision == "bf16":
            return decode_bfloat16(self._read_span(key, span, columns, np.uint32)).astype(dtype, copy=False)
        return self._read_span(key, span, columns, dtype)

    def _read_span(self, key: ArrayKey, span: range, columns: np.ndarray | None, dtype: DTypeLike) -> np.ndarray:
        width = self.plan.widths[key[0]] if columns is None else len(columns)
        out = np.empty((len(span), width), dtype)
        for part, inside, outside in parts_of(self.plan, span):
            try:
                self._read_part(key, part, inside, columns, out[outside])
            except CorruptStoreError as error:
                raise CorruptStoreError(f"Layer {key[1]}, part {part}: {error}") from error
        return out

    def verify(self) -> list[Damage]:
        """Read every file and return those that are missing or not as they were written.

        Parts without a record are unfinished, not damaged: see :meth:`open_parts`.
        """
        found = list(damaged_metadata(self.path, self._header))
        for part in range(self.plan.n_parts):
            found += damaged_part(self.path, part, self._ledger, self._part_files(part))
        return found

    def _require_complete(self) -> None:
        if missing := self.open_parts():
            raise StoreError(
                f"The store at {self.path} is unfinished: {len(missing)} of {self.plan.n_parts} parts are "
                "missing. Run the stage-1 command that began it again; it writes only those."
            )

    def _write_file(self, name: str, part: int, activations: Activations) -> FileRecord:
        data = self._encode(name, part, activations)
        with self._writing(self.path / name), atomic_file(self.path / name) as temporary:
            temporary.write_bytes(data)
        return FileRecord.of(data)

    @contextmanager
    def _writing(self, path: Path) -> Iterator[None]:
        with storage_errors(self.path, path):
            for leftover in self._leftovers.pop(path, []):
                leftover.unlink(missing_ok=True)
            yield

    @cached_property
    def _leftovers(self) -> dict[Path, list[Path]]:
        """Temporary files of killed processes, and of living ones that write other parts."""
        return leftovers(self.path)
