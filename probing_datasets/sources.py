"""Where labelled text comes from: bundled texts, local tables, trees of source files, hub data sets."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow.csv
import pyarrow.dataset
import pyarrow.json

from probing_datasets.demo import DEMO_TEXTS
from probing_datasets.file_languages import LANGUAGE_OF_EXTENSION
from probing_datasets.foundation.errors import SourceError

TABLE_FORMATS = {".parquet": "parquet", ".jsonl": "json", ".json": "json", ".csv": "csv"}
MAX_FILE_BYTES = 1_000_000
BLOCK_BYTES = 32_000_000
"""CSV and JSONL files are read in blocks of this size; a row must fit into one."""


class TextRow(NamedTuple):
    """One labelled text and the group that must not be split between training and test rows."""

    text: str
    label: str
    group: str


@dataclass(frozen=True)
class SourceColumns:
    """Names of the columns of a table."""

    text: str = "text"
    label: str = "label"
    group: str = "group"


def read_source(source: str, collection: str, columns: SourceColumns, split: str = "train") -> Iterator[TextRow]:
    """Stream the labelled texts of a source.

    Parameters
    ----------
    source : str
        ``demo`` (the bundled texts), a ``.parquet``, ``.jsonl`` or ``.csv`` file, a folder of
        source files (labelled by extension, grouped by the first folder below it), or the name
        of a hub data set.
    collection : str
        Name of the collection, which decides the bundled texts.
    columns : SourceColumns
        Columns of a table or hub data set. An empty group column makes every row its own group.
    split : str
        Split of a hub data set.

    Raises
    ------
    SourceError
        When the source does not exist, cannot be read, or lacks a column.
    """
    if source == "demo":
        return _read_table(DEMO_TEXTS[collection], SourceColumns())
    path = Path(source).expanduser()
    if path.is_dir():
        return read_source_files(path)
    if path.suffix.lower() in TABLE_FORMATS:
        return _read_table(path, columns)
    if path.exists():
        formats = ", ".join(sorted(TABLE_FORMATS))
        raise SourceError(f"{path} has no known table format. Give a file that ends in one of {formats}.")
    return read_hub(source, columns, split)


def _read_table(path: Path, columns: SourceColumns) -> Iterator[TextRow]:
    if not path.is_file():
        raise SourceError(f"There is no file {path}. Check --source.")
    try:
        table = pyarrow.dataset.dataset(path, format=_table_format(path, columns))
        names = table.schema.names
    except (OSError, ValueError, pyarrow.lib.ArrowException) as error:
        raise SourceError(f"{path} cannot be read as a table: {error}") from error
    wanted = _check_columns(columns, names, str(path))
    batches = table.to_batches(columns=wanted)
    return _rows(_table_dicts(batches, path), columns)


def _table_format(path: Path, columns: SourceColumns) -> pyarrow.dataset.FileFormat:
    name = TABLE_FORMATS[path.suffix.lower()]
    if name == "json":
        return pyarrow.dataset.JsonFileFormat(read_options=pyarrow.json.ReadOptions(block_size=BLOCK_BYTES))
    if name == "csv":
        # Types guessed from the first block fail on later ones, and bytes that are no UTF-8 pass as binary.
        strings = {column: pyarrow.string() for column in (columns.text, columns.label, columns.group)}
        return pyarrow.dataset.CsvFileFormat(
            read_options=pyarrow.csv.ReadOptions(block_size=BLOCK_BYTES),
            parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True),
            convert_options=pyarrow.csv.ConvertOptions(column_types=strings),
        )
    return pyarrow.dataset.ParquetFileFormat()


def _table_dicts(batches: Iterable, path: Path) -> Iterator[dict]:
    try:
        for batch in batches:
            yield from batch.to_pylist()
    except (OSError, ValueError, pyarrow.lib.ArrowException) as error:
        raise SourceError(f"{path} is damaged or not a table: {error}") from error


def read_hub(name: str, columns: SourceColumns, split: str) -> Iterator[TextRow]:
    """Stream a data set of the Hugging Face hub (``owner/name`` or ``owner/name:configuration``)."""
    import datasets  # slow to import

    name, _, configuration = name.partition(":")
    try:
        table = datasets.load_dataset(name, configuration or None, split=split, streaming=True)
        names = list(table.features or next(iter(table)))
    except Exception as error:
        raise SourceError(
            f"No file, folder or hub data set {name!r} could be read (split {split!r}): "
            f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''} "
            "Give a local .parquet, .jsonl or .csv file, a folder of source files, or `demo`; "
            "a hub data set needs the network or a filled HF_HOME cache."
        ) from error
    _check_columns(columns, names, name)
    return _rows(_hub_records(table, name, columns.label), columns)


def _hub_records(table: Any, name: str, label_column: str) -> Iterator[dict]:
    """Stream the records of a hub data set, with the names of classes for their numbers."""
    kind: Any = (table.features or {}).get(label_column)
    try:
        for record in table:
            number = record[label_column] if hasattr(kind, "int2str") else None
            if number is not None:
                record[label_column] = kind.int2str(number) if number >= 0 else None
            yield record
    except (OSError, ValueError, pyarrow.lib.ArrowException) as error:
        raise SourceError(f"Reading the hub data set {name!r} broke off: {error}. Run the command again.") from error


def _check_columns(columns: SourceColumns, names: list[str], where: str) -> list[str]:
    flags = {"text": columns.text, "label": columns.label, "group": columns.group}
    for role, column in flags.items():
        if column and column not in names:
            raise SourceError(
                f"{where} has no column {column!r} for the {role}; it has: {', '.join(names)}. "
                f"Name the right one with --{role}_column"
                + (" (empty: every row is a group of its own)." if role == "group" else ".")
            )
    return [column for column in flags.values() if column]


def _rows(records: Iterable[dict], columns: SourceColumns) -> Iterator[TextRow]:
    for index, record in enumerate(records):
        text = record[columns.text]
        label = record[columns.label] if columns.label else ""
        group = record[columns.group] if columns.group else None
        has_label = not columns.label or label not in (None, "")
        if text and has_label:
            yield TextRow(str(text), str(label), str(group) if group not in (None, "") else f"row {index}")


def read_source_files(root: Path) -> Iterator[TextRow]:
    """Stream the source files below a folder: label by extension, group by first sub-folder (package)."""
    for path in _walk(root):
        label = LANGUAGE_OF_EXTENSION.get(path.suffix.lower())
        if label is None or path.is_symlink() or path.stat().st_size > MAX_FILE_BYTES:
            continue
        text = path.read_bytes().decode("utf-8", errors="ignore").strip()
        if text:
            yield TextRow(text, label, path.relative_to(root).parts[0])


def _walk(root: Path) -> Iterator[Path]:
    for folder, folders, files in os.walk(root):
        folders.sort()
        yield from (Path(folder) / name for name in sorted(files))


def digest_rows(rows: list[TextRow]) -> str:
    """Return the SHA-256 (hex) of the texts, labels and groups that were read."""
    state = hashlib.sha256()
    for row in rows:
        for value in row:
            data = value.encode("utf-8", errors="surrogatepass")
            state.update(len(data).to_bytes(8, "little") + data)
    return state.hexdigest()
