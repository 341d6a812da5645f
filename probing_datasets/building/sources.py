"""Read labelled texts: bundled texts, local tables, files and folders of text or source code, hub data sets."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from probing_datasets.building.groups import group_of_file, group_of_row
from probing_datasets.demo import DEMO_TEXTS
from probing_datasets.foundation.errors import SourceError, list_known
from probing_datasets.foundation.file_languages import LANGUAGE_OF_EXTENSION
from probing_datasets.foundation.text_files import (
    COMPRESSED_SUFFIXES,
    READ_ERRORS,
    name_without_compression,
    open_text,
    plain_copy,
    read_text,
    unreadable,
)

TABLE_FORMATS = {".parquet": "parquet", ".jsonl": "json", ".json": "json", ".csv": "csv"}
TEXT_SUFFIX = ".txt"
MAX_FILE_BYTES = 1_000_000
BLOCK_BYTES = 32_000_000
"""CSV and JSONL files are read in blocks of this size; a row must fit into one."""
BATCH_ROWS = 256


class TextRow(NamedTuple):
    """One text, its label, and the group that must not be split between training and test rows."""

    text: str
    label: str = ""
    group: str = ""
    extra: tuple = ()
    """Further values (JSON) that a collection needs, such as the subject of a statement."""


@dataclass(frozen=True)
class SourceColumns:
    """Names of the columns of a table."""

    text: str = "text"
    label: str = "label"
    group: str = "group"
    further: tuple[str, ...] = ()
    """Columns whose values become ``TextRow.extra``."""

    def names(self) -> list[str]:
        """Return the columns that are read."""
        return [name for name in (self.text, self.label, self.group, *self.further) if name]


def read_source(
    source: str,
    collection: str,
    columns: SourceColumns,
    split: str = "train",
    skipped: Counter[str] | None = None,
) -> Iterator[TextRow]:
    """Stream the labelled texts of a source.

    Parameters
    ----------
    source : str
        ``demo`` (the bundled texts); a ``.parquet``, ``.jsonl``, ``.json`` or ``.csv`` file; a ``.txt`` file; a
        folder of source files (labelled by extension, grouped by the first folder below it) or of ``.txt`` files
        (labelled by the first folder below it, every file its own group); or the name of a hub data set. Text files
        may be compressed; `text_files` has the rule for their encoding.
    collection : str
        Name of the collection, which decides the bundled texts.
    columns : SourceColumns
        Columns of a table or hub data set. An empty group column makes every row its own group; a dotted
        name reaches into a struct (``meta.pile_set_name``).
    split : str
        Split of a hub data set.
    skipped : Counter, optional
        Counts the rows or files that are skipped, by reason.

    Raises
    ------
    SourceError
        When the source does not exist, cannot be read, or has no column of a name in ``columns``.
    """
    skipped = Counter() if skipped is None else skipped
    if source == "demo":
        return _read_table(demo_texts(collection), SourceColumns(), skipped)
    path = Path(source).expanduser()
    suffix = name_without_compression(path).suffix.lower()
    if columns.further and (path.is_dir() or suffix == TEXT_SUFFIX):
        raise SourceError(f"{path} holds texts without a column {columns.further[0]!r}. Pass a table.")
    if path.is_dir():
        return _read_folder(path, columns, skipped)
    if suffix in TABLE_FORMATS:
        return _read_table(path, columns, skipped)
    if suffix == TEXT_SUFFIX:
        return _read_text_file(path, columns)
    if path.exists():
        formats = ", ".join((*TABLE_FORMATS, TEXT_SUFFIX))
        raise SourceError(f"{path} has no known format. Pass a file that ends in {formats}, or one of these and .gz.")
    return read_hub(source, columns, split, skipped)


def demo_texts(collection: str) -> Path:
    """Return the bundled texts of a collection.

    Raises
    ------
    SourceError
        When there are none.
    """
    if collection not in DEMO_TEXTS:
        raise SourceError(f"No texts are bundled for {collection}. Pass --source; docs/collections names some.")
    return DEMO_TEXTS[collection]


def _read_table(path: Path, columns: SourceColumns, skipped: Counter[str]) -> Iterator[TextRow]:
    import pyarrow.csv  # slow to import
    import pyarrow.dataset
    import pyarrow.json

    if not path.is_file():
        raise SourceError(f"There is no file {path}. Check --source.")
    kind = TABLE_FORMATS[name_without_compression(path).suffix.lower()]
    if kind == "parquet" and path.suffix.lower() in COMPRESSED_SUFFIXES:
        raise SourceError(f"{path} is a compressed Parquet file. Decompress it first: Parquet compresses its columns.")
    file, copy = (path, None) if kind == "parquet" else plain_copy(path, is_json=kind == "json")
    if kind == "json":
        table_format = pyarrow.dataset.JsonFileFormat(read_options=pyarrow.json.ReadOptions(block_size=BLOCK_BYTES))
    elif kind == "csv":
        # Every column is text: types that are guessed from the first block fail on later ones, and bytes
        # that are not UTF-8 would be accepted as binary.
        strings = {column: pyarrow.string() for column in columns.names()}
        table_format = pyarrow.dataset.CsvFileFormat(
            read_options=pyarrow.csv.ReadOptions(block_size=BLOCK_BYTES),
            parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True),
            convert_options=pyarrow.csv.ConvertOptions(column_types=strings),
        )
    else:
        # Without this option a scan buffers the whole column as it is read.
        scan_options = pyarrow.dataset.ParquetFragmentScanOptions(pre_buffer=False)
        table_format = pyarrow.dataset.ParquetFileFormat(default_fragment_scan_options=scan_options)
    try:
        table = pyarrow.dataset.dataset(file, format=table_format)
        names = table.schema.names
    except (OSError, ValueError, pyarrow.lib.ArrowException) as error:
        raise _not_a_table(path, file, kind, error) from error
    batches = table.to_batches(
        columns=_columns_to_read(columns, names, str(path)),
        batch_size=BATCH_ROWS,
        batch_readahead=1,
        fragment_readahead=1,
    )

    def records(copy: object) -> Iterator[dict]:  # `copy` holds the file that the batches are read from
        try:
            for batch in batches:
                yield from batch.to_pylist()
        except (OSError, ValueError, pyarrow.lib.ArrowException) as error:
            raise _not_a_table(path, file, kind, error) from error
        del copy

    return _text_rows(records(copy), columns, skipped)


def _not_a_table(path: Path, file: Path, kind: str, error: Exception) -> SourceError:
    """Return the error for a table that cannot be read: bytes that are not UTF-8, or what the reader says."""
    if kind != "parquet":
        try:
            with open_text(file) as text:
                while text.read(2**20):
                    pass
        except READ_ERRORS as cause:
            return unreadable(path, cause)
        except SourceError as cause:
            return cause
    return SourceError(f"{path} is damaged or not a table: {str(error).splitlines()[0]}")


def _read_text_file(path: Path, columns: SourceColumns) -> Iterator[TextRow]:
    """Stream the texts of one file: separated by blank lines if it has any, otherwise one a line."""
    if columns.label:
        raise SourceError(
            f"{path} holds texts without labels. Pass a table with columns for text and label, or a folder with a "
            f"folder of {TEXT_SUFFIX} files for each label."
        )
    content = read_text(path)
    paragraphs = re.split(r"\n[ \t]*\n", content.strip())
    texts = paragraphs if len(paragraphs) > 1 else content.splitlines()
    rows = (text.strip() for text in texts)
    return (TextRow(text, group=group_of_row(None, index)) for index, text in enumerate(filter(None, rows)))


def _read_folder(root: Path, columns: SourceColumns, skipped: Counter[str]) -> Iterator[TextRow]:
    """Stream the source files of a folder, or its text files if it has no source files."""
    paths = list(_files_below(root))
    if any(path.suffix.lower() in LANGUAGE_OF_EXTENSION for path in paths):
        return read_source_files(root, skipped)
    texts = [path for path in paths if name_without_compression(path).suffix.lower() == TEXT_SUFFIX]
    if not texts:
        tables = [path.name for path in paths if name_without_compression(path).suffix.lower() in TABLE_FORMATS]
        advice = f"Pass one of its tables, such as {tables[0]}" if tables else "Check --source"
        raise SourceError(f"{root} holds neither source files nor {TEXT_SUFFIX} files. {advice}.")
    loose = [path for path in texts if path.parent == root]
    if columns.label and loose:
        raise SourceError(
            f"{loose[0]} has no label: the label of a {TEXT_SUFFIX} file is the name of the folder below {root} "
            "that it is in."
        )
    return _read_text_files(root, texts, skipped)


def _read_text_files(root: Path, paths: list[Path], skipped: Counter[str]) -> Iterator[TextRow]:
    for path in paths:
        text = _text_or_skip(path, skipped)
        if text:
            place = path.relative_to(root)
            yield TextRow(text, place.parts[0] if len(place.parts) > 1 else "", str(place))


def _text_or_skip(path: Path, skipped: Counter[str]) -> str:
    """Return the text of a file of a folder; empty, and counted by its reason, where there is none."""
    try:
        text = read_text(path).strip()
    except SourceError:
        skipped["files are not text in UTF-8"] += 1
        return ""
    if not text:
        skipped["files hold no text"] += 1
    return text


def read_hub(name: str, columns: SourceColumns, split: str, skipped: Counter[str]) -> Iterator[TextRow]:
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
            "Pass a local .parquet, .jsonl, .csv or .txt file, a folder of such texts or source files, or `demo`; "
            "a hub data set needs the network or a filled HF_HOME cache."
        ) from error
    _columns_to_read(columns, names, name)
    return _text_rows(_hub_records(table, name, columns.label), columns, skipped)


def _hub_records(table: Any, name: str, label_column: str) -> Iterator[dict]:
    """Stream the records of a hub data set, with names of classes in place of their numbers."""
    import pyarrow.lib  # slow to import

    kind: Any = (table.features or {}).get(label_column)
    try:
        for record in table:
            number = record[label_column] if hasattr(kind, "int2str") else None
            if number is not None:
                record[label_column] = kind.int2str(number) if number >= 0 else None
            yield record
    except (OSError, ValueError, pyarrow.lib.ArrowException) as error:
        raise SourceError(f"Reading the hub data set {name!r} failed: {error}. Run the command again.") from error


def _columns_to_read(columns: SourceColumns, names: list[str], where: str) -> list[str]:
    """Check that all columns exist, and return those to read: for a field of a struct (a dotted name) the struct."""
    flags = {"text": columns.text, "label": columns.label, "group": columns.group}
    flags |= {f"field {name}": name for name in columns.further}
    roots = {role: column if column in names else column.partition(".")[0] for role, column in flags.items()}
    for role, root in roots.items():
        if root and root not in names:
            flag = f"--{role}_column" if role in ("text", "label", "group") else "the flag of its column"
            raise SourceError(
                f"{where} has no column {flags[role]!r} for the {role}; it has: {list_known(str(flags[role]), names)}. "
                f"Name the right one with {flag}"
                + (" (empty: every row is its own group)." if role == "group" else ".")
            )
    return list(dict.fromkeys(filter(None, roots.values())))


def _text_rows(records: Iterable[dict], columns: SourceColumns, skipped: Counter[str]) -> Iterator[TextRow]:
    for index, record in enumerate(records):
        text = _value(record, columns.text)
        label = _value(record, columns.label) if columns.label else ""
        group = _value(record, columns.group) if columns.group else None
        has_label = not columns.label or label not in (None, "")
        if not (text and has_label):
            skipped["rows have no text or no label"] += 1
            continue
        extra = tuple(_value(record, name) for name in columns.further)
        yield TextRow(str(text), str(label), group_of_row(group, index), extra)


def _value(record: Any, column: str) -> Any:
    """Look up a column, or a field of a struct by its dotted name."""
    if column in record:
        return record[column]
    root, _, field = column.partition(".")
    inner = record.get(root)
    return _value(inner, field) if field and isinstance(inner, dict) else None


def read_source_files(root: Path, skipped: Counter[str]) -> Iterator[TextRow]:
    """Stream the source files below a folder: label by extension, group by first sub-folder (the package)."""
    for path in _files_below(root):
        label = LANGUAGE_OF_EXTENSION.get(path.suffix.lower())
        if label is None:
            continue
        if path.stat().st_size > MAX_FILE_BYTES:
            skipped[f"files are larger than {MAX_FILE_BYTES:,} bytes"] += 1
            continue
        text = _text_or_skip(path, skipped)
        if text:
            yield TextRow(text, label, group_of_file(path, root))


def _files_below(root: Path) -> Iterator[Path]:
    """Yield the files below a folder in a fixed order, without links."""
    for folder, folders, files in os.walk(root):
        folders.sort()  # `os.walk` visits the folders in this order
        yield from (path for name in sorted(files) if not (path := Path(folder) / name).is_symlink())


def digest_rows(rows: list[TextRow]) -> str:
    """Return the SHA-256 (hex) of the rows that were read."""
    state = hashlib.sha256()
    for row in rows:
        for value in (row.text, row.label, row.group, *(json.dumps(v, sort_keys=True) for v in row.extra)):
            data = value.encode("utf-8", errors="surrogatepass")
            state.update(len(data).to_bytes(8, "little") + data)
    return state.hexdigest()
