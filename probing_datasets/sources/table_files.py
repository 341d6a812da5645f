"""Stream the records of tables: CSV, TSV, JSON, Parquet, Feather and Arrow files, in bounded memory.

Text formats are read with the rules of `text_files` for encodings, compression and line ends.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TextIO

from probing_datasets.foundation.errors import SourceError, first_line
from probing_datasets.foundation.files.text_files import (
    COMPRESSED_SUFFIXES,
    READ_ERRORS,
    name_without_compression,
    open_text,
    unreadable,
)
from probing_datasets.sources.text_rows import UnusableValueError

if TYPE_CHECKING:
    import pyarrow as pa

TEXT_TABLES = {".csv": ",", ".tsv": "\t", ".tab": "\t"}
"""Suffixes of tables that are lines of text, and what separates their cells."""
JSON_SUFFIXES, ARROW_SUFFIXES, PARQUET_SUFFIX = (".jsonl", ".ndjson", ".json"), (".arrow", ".feather"), ".parquet"
TABLE_SUFFIXES = (PARQUET_SUFFIX, *JSON_SUFFIXES, *TEXT_TABLES, *ARROW_SUFFIXES)

MAX_RECORD_CHARACTERS = 64_000_000
"""A longer line, cell or element of a JSON array is refused, so that a missing quote or line end does not fill the
memory."""
PEEKED_RECORDS = 10_000
"""At most this many records are read to learn the columns of a JSON file."""
CHUNK_CHARACTERS = 2**20
BATCH_ROWS = 256


class ReadOptions(NamedTuple):
    """How a source is read."""

    split: str = "train"
    """Split of a hub data set, or of a saved one."""
    separator: str = ""
    """What separates the cells of a table of text; empty: a comma, or a tab in a ``.tsv`` file."""
    encoding: str = ""
    """Encoding of text files without a byte-order mark; empty: UTF-8."""


PLAIN = ReadOptions()


@dataclass(frozen=True)
class Table:
    """The columns of a table, and a function that streams its records."""

    columns: list[str]
    records: Callable[[list[str]], Iterable[dict[str, Any]]]
    """From the names of columns to records that have at least these."""
    is_text: bool = False
    """Whether every cell is text, so that a missing value can only be spelt."""


def open_table(path: Path, options: ReadOptions, wanted: Iterable[str] = ()) -> Table:
    """Open a table of any format.

    Parameters
    ----------
    path : Path
        A file whose name ends in one of `TABLE_SUFFIXES`, or in one of a text format and ``.gz``, ``.zst``, ``.bz2``
        or ``.xz``.
    options : ReadOptions
    wanted : iterable of str
        Columns that will be read: a JSON file is searched for them.

    Raises
    ------
    SourceError
        When the file does not exist or is not a table; while records are read, when it is damaged.
    """
    if not path.is_file():
        raise SourceError(f"There is no file {path}. Check --source.")
    suffix = name_without_compression(path).suffix.lower()
    if suffix in TEXT_TABLES:
        return _text_table(path, _separator(options.separator or TEXT_TABLES[suffix]), options.encoding)
    if suffix in JSON_SUFFIXES:
        return _json_table(path, options.encoding, list(wanted))
    if path.suffix.lower() in COMPRESSED_SUFFIXES:
        kind = suffix.removeprefix(".").capitalize()
        raise SourceError(f"{path} is a compressed {kind} file. Decompress it first: {kind} compresses its columns.")
    return _parquet_table(path) if suffix == PARQUET_SUFFIX else _arrow_table(path)


def _not_a_table(path: Path, reason: str) -> SourceError:
    return SourceError(f"{path} is damaged or not a table: {reason}")


def _separator(separator: str) -> str:
    if separator == "\\t":  # as a shell passes it
        return "\t"
    if len(separator) != 1 or separator in ("\n", "\r", '"'):
        raise SourceError(f"--separator must be one sign, such as ';' or '\\t', not {separator!r}.")
    return separator


def _text_table(path: Path, separator: str, encoding: str) -> Table:
    """Open a table whose lines are rows; the first holds the names of the columns."""
    _, columns = next(_text_rows(path, separator, encoding), (0, []))
    if not columns:
        raise _not_a_table(path, "its first line holds no names of columns.")

    def records(names: list[str]) -> Iterator[dict[str, Any]]:
        places = {name: columns.index(name) for name in names}
        rows = _text_rows(path, separator, encoding)
        next(rows)
        for line, cells in rows:
            if len(cells) != len(columns):
                raise _not_a_table(
                    path,
                    f"the row that ends in line {line} has {len(cells)} cells, and there are {len(columns)} columns. "
                    "Put cells that hold the separator between double quotes, or name another one with --separator.",
                )
            yield {name: cells[place] for name, place in places.items()}

    return Table(columns, records, is_text=True)


def _text_rows(path: Path, separator: str, encoding: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows of a table of text that are not blank, each with the number of its last line."""
    csv.field_size_limit(MAX_RECORD_CHARACTERS)  # a cell may hold line breaks
    is_past_end = False

    def lines(file: TextIO) -> Iterator[str]:
        nonlocal is_past_end
        yield from bounded_lines(path, file)
        is_past_end = True

    try:
        with open_text(path, encoding) as file:
            # The reader looks for a line after the last one only where a quote is not closed.
            rows = csv.reader(lines(file), delimiter=separator)
            start = 1
            for cells in rows:
                if is_past_end:
                    raise _not_a_table(path, f"a double quote in or after line {start} is not closed.")
                if cells:
                    yield rows.line_num, cells
                start = rows.line_num + 1
    except csv.Error as error:
        raise _not_a_table(path, f"{error}, in a row that begins at line {start}.") from error
    except READ_ERRORS as error:
        raise unreadable(path, error) from error


def bounded_lines(path: Path, file: TextIO) -> Iterator[str]:
    """Yield the lines of a file, with their ends.

    Raises
    ------
    SourceError
        When a line has more than `MAX_RECORD_CHARACTERS`.
    """
    while line := file.readline(MAX_RECORD_CHARACTERS):
        if len(line) == MAX_RECORD_CHARACTERS:
            raise SourceError(
                f"{path} has a line of more than {MAX_RECORD_CHARACTERS:,} characters. It may be damaged; if it is "
                "not, put its records on lines."
            )
        yield line


def _json_table(path: Path, encoding: str, wanted: list[str]) -> Table:
    """Open a JSON array of objects or of texts, or JSON lines; their columns are the keys of the first objects."""
    columns: dict[str, None] = {}
    for _, record in zip(range(PEEKED_RECORDS), _json_records(path, encoding), strict=False):
        columns |= dict.fromkeys(record)
        if wanted and all(name in columns or name.partition(".")[0] in columns for name in wanted):
            break
    if not columns:
        raise _not_a_table(path, "it holds no object with keys.")
    return Table(list(columns), lambda _names: _json_records(path, encoding))


def _json_records(path: Path, encoding: str) -> Iterator[dict[str, Any]]:
    place, value = "", None
    try:
        with open_text(path, encoding) as file:
            start = file.read(CHUNK_CHARACTERS)
            while start and not start.strip():
                start = file.read(CHUNK_CHARACTERS)
            is_array = start.lstrip().startswith("[")
        with open_text(path, encoding) as file:
            values = _array_elements(path, file) if is_array else _json_lines(path, file)
            for place, value in values:
                if isinstance(value, str) and is_array:
                    value = {"text": value}
                if not isinstance(value, dict):
                    kind = type(value).__name__
                    raise SourceError(
                        f"{path} holds a JSON array with a {kind} in it, {place}. Pass an array of objects, or one a "
                        "line."
                        if is_array
                        else f"{path} has a {kind} in {place}. Pass one JSON object a line, or an array of objects."
                    )
                yield value
    except READ_ERRORS as error:
        raise unreadable(path, error) from error


def _json_lines(path: Path, file: TextIO) -> Iterator[tuple[str, Any]]:
    for number, line in enumerate(bounded_lines(path, file), 1):
        if line.strip():
            try:
                value = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise _not_a_table(path, f"line {number} is not JSON ({error}).") from error
            yield f"line {number}", value


def _array_elements(path: Path, file: TextIO) -> Iterator[tuple[str, Any]]:
    """Yield the elements of a JSON array, of which one is in memory at a time."""
    array, number = _JsonBuffer(path, file), 0
    array.take()
    is_end = array.peek() == "]"
    while not is_end:
        yield f"element {number}", array.value(f"element {number}")
        sign = array.take()
        if sign not in (",", "]"):
            raise SourceError(f"{path} is not JSON: no comma after element {number}. It may be damaged or cut off.")
        number, is_end = number + 1, sign == "]"
    if number == 0:
        array.take()
    if rest := array.peek():
        raise SourceError(
            f"{path} is not JSON: {rest!r} follows the end of its array. Pass one array, or one object a line."
        )


class _JsonBuffer:
    """A part of a JSON text, which is read as far as it is needed."""

    def __init__(self, path: Path, file: TextIO) -> None:
        self.path, self.file, self.decoder = path, file, json.JSONDecoder()
        self.text, self.place = "", 0

    def peek(self) -> str:
        """Return the next character that is not white space; empty at the end of the file."""
        while True:
            while self.place < len(self.text) and self.text[self.place].isspace():
                self.place += 1
            if self.place < len(self.text) or not self._read_more(CHUNK_CHARACTERS):
                return self.text[self.place : self.place + 1]

    def take(self) -> str:
        """Return and remove the next character that is not white space."""
        sign = self.peek()
        self.place += len(sign)
        return sign

    def value(self, name: str) -> Any:
        """Return and remove the next value."""
        self.peek()
        while True:
            try:
                value, self.place = self.decoder.raw_decode(self.text, self.place)
            except (ValueError, RecursionError) as error:
                n_rest = len(self.text) - self.place
                is_bad = isinstance(error, RecursionError) or n_rest > MAX_RECORD_CHARACTERS
                if is_bad or not self._read_more(max(CHUNK_CHARACTERS, n_rest)):
                    reason = f"{name} is not JSON ({error})"
                    raise SourceError(f"{self.path} is not JSON: {reason}. It may be damaged or cut off.") from error
            else:
                return value

    def _read_more(self, n_characters: int) -> bool:
        """Read more of the file, and forget what was taken; return whether there was more."""
        chunk = self.file.read(n_characters)
        self.text, self.place = self.text[self.place :] + chunk, 0
        return chunk != ""


def _parquet_table(path: Path) -> Table:
    import pyarrow.dataset  # slow to import
    import pyarrow.lib

    # Without this option a scan buffers the whole column as it is read.
    scan_options = pyarrow.dataset.ParquetFragmentScanOptions(pre_buffer=False)
    table_format = pyarrow.dataset.ParquetFileFormat(default_fragment_scan_options=scan_options)
    try:
        table = pyarrow.dataset.dataset(path, format=table_format)
        columns = table.schema.names
    except (OSError, ValueError, pyarrow.lib.ArrowException) as error:
        raise _not_a_table(path, first_line(error)) from error

    def batches(names: list[str]) -> Iterator[pa.RecordBatch]:
        return table.to_batches(columns=names, batch_size=BATCH_ROWS, batch_readahead=1, fragment_readahead=1)

    return Table(columns, partial(_records_of_batches, path, batches))


def _arrow_table(path: Path) -> Table:
    """Open a file of Arrow's IPC formats: Feather, or the stream that `datasets` writes."""
    import pyarrow.ipc  # slow to import
    import pyarrow.lib

    def batches(names: list[str] | None) -> Iterator[pa.RecordBatch]:
        with pyarrow.memory_map(str(path)) as file:
            is_stream = file.read(6) != b"ARROW1"
            file.seek(0)
            reader = pyarrow.ipc.open_stream(file) if is_stream else pyarrow.ipc.open_file(file)
            if names is None:
                yield reader.schema.empty_table()
            elif is_stream:
                yield from (batch.select(names) for batch in reader)
            else:
                yield from (reader.get_batch(i).select(names) for i in range(reader.num_record_batches))

    try:
        columns = next(batches(None)).schema.names
    except (OSError, ValueError, pyarrow.lib.ArrowException) as error:
        raise _not_a_table(path, first_line(error)) from error
    return Table(columns, partial(_records_of_batches, path, batches))


def _records_of_batches(
    path: Path, batches: Callable[[list[str]], Iterable[pa.RecordBatch]], names: list[str]
) -> Iterator[dict[str, Any]]:
    import pyarrow.lib  # slow to import

    try:
        for batch in batches(names):
            yield from records_of_batch(batch)
    except (OSError, ValueError, pyarrow.lib.ArrowException) as error:
        raise _not_a_table(path, first_line(error)) from error


def records_of_batch(batch: pa.RecordBatch | pa.Table) -> Iterator[dict[str, Any]]:
    """Yield the records of a batch; text is in bytes, because Arrow does not check that it is UTF-8.

    A value that Python cannot hold, such as a date after the year 9999, becomes an `UnusableValueError`.

    Raises
    ------
    pyarrow.lib.ArrowException
        When the batch is damaged.
    """
    import pyarrow as pa  # slow to import

    as_bytes = {pa.string(): pa.binary(), pa.large_string(): pa.large_binary()}
    fields = [field.with_type(as_bytes.get(field.type, field.type)) for field in batch.schema]
    for start in range(0, batch.num_rows, BATCH_ROWS):
        part = batch.slice(start, BATCH_ROWS).cast(pa.schema(fields))
        part.validate(full=True)  # a damaged offset would end the process
        try:
            yield from part.to_pylist()
        except (OverflowError, ValueError):  # raised before the first record
            columns = [[_python_value(scalar) for scalar in column] for column in part.columns]
            yield from (dict(zip(part.schema.names, values, strict=True)) for values in zip(*columns, strict=True))


def _python_value(scalar: pa.Scalar) -> Any:
    try:
        return scalar.as_py()
    except (OverflowError, ValueError):
        return UnusableValueError(
            "cannot be read: it holds a date or time outside the years 1 to 9999, or text that is not UTF-8"
        )
