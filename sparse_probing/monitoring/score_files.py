"""A table of scores on the disk: written in parts, checked when it is read, never mixed with another one."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from probing_datasets.foundation.errors import DamagedFileError, SettingsError, StoreError
from probing_datasets.foundation.files.atomic_files import atomic_file
from probing_datasets.foundation.files.sealed_json import read_sealed, write_sealed
from probing_datasets.foundation.hashing import checksum, digest_json
from probing_datasets.foundation.provenance import provenance
from sparse_probing.activations.stores.storage.checksums import FileRecord
from sparse_probing.activations.tables.recorded_files import writing_errors
from sparse_probing.saved_probes.probe_data import ProbeData

NOTES = b"notes"
"""Key of the notes in the metadata of a part."""
NOT_SCORES = ("provenance", "threshold", "threshold_origin", "link", "prior", "temperature")
"""Fields of a probe that its scores do not depend on."""


@dataclass(frozen=True)
class ScoredFile:
    """What the sealed file beside a table of scores records."""

    plan: dict[str, Any]
    """Everything that decides the numbers: the texts, the probes, the settings."""
    file: FileRecord
    """Length and checksum of the table."""
    n_rows: int
    columns: list[str]
    """Columns of scores."""
    notes: dict[str, tuple[int, int]]
    """Why texts have no score, or only a part of them is scored: how many, and the number of the first. The column
    ``note`` of a table of texts says it of each."""
    versions: dict[str, Any]


def probe_digest(probe: ProbeData) -> str:
    """Return a digest of everything that decides the scores of a probe."""
    values: dict[str, Any] = {}
    for name in (each.name for each in fields(probe) if each.name not in NOT_SCORES):
        value = getattr(probe, name)
        if isinstance(value, np.ndarray):
            value = [str(value.dtype), list(value.shape), checksum([np.ascontiguousarray(value)])]
        values[name] = asdict(value) if is_dataclass(value) and not isinstance(value, type) else value
    return digest_json(values)


def check_table_name(to: Path, source: Path | None = None) -> None:
    """Raise SettingsError unless a table can be written at a path, and its record beside it, without the source."""
    if source is not None and source.resolve() in (to.resolve(), description_path(to).resolve()):
        raise SettingsError(f"{source} holds the texts, and the table or its record would replace it. Change --to.")
    if to.suffix != ".parquet":
        raise SettingsError(f"Scores are written as a Parquet table: name it with .parquet at its end, not {to}.")
    if to.is_dir():
        raise SettingsError(f"{to} is a folder. Name a file that ends in .parquet.")


def description_path(to: Path) -> Path:
    """Return the sealed file beside a table."""
    return to.with_name(to.name + ".json")


def parts_folder(to: Path) -> Path:
    """Return the folder of the parts of a table that is not finished."""
    return to.with_name(to.name + ".parts")


def finished_table(to: Path, plan: dict[str, Any], overwrite: bool) -> ScoredFile | None:
    """Return the record of a table that is finished and intact; None when it must be written.

    Raises
    ------
    StoreError
        When there is another file at ``to``, or a table that was made from other inputs, unless ``overwrite``.
    """
    try:
        record = read_sealed(description_path(to), ScoredFile, "Delete it and run the command again.")
    except FileNotFoundError:
        record = None
    except DamagedFileError:
        if not overwrite:
            raise
        record = None
    if overwrite and (record is None or record.plan != plan):
        return None
    if record is None:
        if to.exists():
            raise StoreError(
                f"{to} exists, and is not a table that this command wrote. Choose another name, or replace it with "
                "--overwrite."
            )
        return None
    if different := [name for name in plan if record.plan.get(name) != plan[name]]:
        raise StoreError(
            f"{to} was made from other inputs or settings ({', '.join(different)}). Choose another name, or replace it "
            "with --overwrite."
        )
    return record if record.file.damage(to) is None else None


def with_notes(table: pa.Table, notes: Iterable[tuple[int, str]]) -> pa.Table:
    """Return a table with the notes of its texts (number, note) counted in its metadata."""
    return table.replace_schema_metadata({NOTES: json.dumps(count_notes(notes)).encode()})


def count_notes(notes: Iterable[tuple[int, str]]) -> dict[str, tuple[int, int]]:
    """Return how many texts have a note, and the first of them; what is behind the colon of a note does not count.

    Examples
    --------
    >>> count_notes([(0, ""), (3, "too long: 62 of 90 tokens"), (4, "too long: 62 of 63 tokens (a); too long (b)")])
    {'too long': (2, 3)}
    """
    counted: dict[str, tuple[int, int]] = {}
    for number, note in notes:
        kinds = [part.partition(":")[0].partition(" (")[0] for part in note.split("; ") if part]
        for kind in dict.fromkeys(kinds):
            n_before, first = counted.get(kind, (0, number))
            counted[kind] = (n_before + 1, first)
    return counted


def note_in_words(note: str, n_texts: int, first: int) -> str:
    """Return a line about the texts that have a note.

    Examples
    --------
    >>> note_in_words("the text has no tokens", 1, 3)
    '1 text: the text has no tokens (text 3)'
    """
    which = f"text {first}" if n_texts == 1 else f"the first is text {first}"
    return f"{n_texts:,} text{'' if n_texts == 1 else 's'}: {note} ({which})"


def write_table(to: Path, tables: Iterable[pa.Table], plan: dict[str, Any], columns: list[str]) -> ScoredFile:
    """Join tables into one on the disk, a row group each, and record it.

    The record appears before the table: after a kill between the two, the table does not have the recorded checksum,
    and is written again.

    Raises
    ------
    StoreError
        When the table cannot be written.
    """
    notes: dict[str, tuple[int, int]] = {}
    n_rows = 0
    with writing_errors(to.parent, to), atomic_file(to) as temporary:
        writer: Any = None
        for table in tables:
            for kind, (n_texts, first) in json.loads((table.schema.metadata or {}).get(NOTES, b"{}")).items():
                n_before, first_before = notes.get(kind, (0, first))
                notes[kind] = (n_before + n_texts, first_before)
            n_rows += table.num_rows
            plain = table.replace_schema_metadata(None)
            if writer is None:
                writer = pq.ParquetWriter(temporary, plain.schema)
            writer.write_table(plain)
        if writer is not None:
            writer.close()
        scored = ScoredFile(plan, FileRecord.of_file(temporary), n_rows, columns, notes, provenance())
        write_sealed(description_path(to), scored)
    return scored
