"""The texts of a file, with their numbers: a row without a usable text keeps its place."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count, repeat
from pathlib import Path
from typing import NamedTuple

from probing_datasets.foundation.errors import SourceError
from probing_datasets.foundation.files.text_files import name_without_compression
from probing_datasets.sources.table_files import PLAIN, TABLE_SUFFIXES, ReadOptions, open_table
from probing_datasets.sources.text_folders import TEXT_SUFFIX, read_text_file
from probing_datasets.sources.text_rows import (
    SourceColumns,
    UnusableValueError,
    columns_to_read,
    usable_value,
    value_of,
)


class NumberedText(NamedTuple):
    """One text of a file."""

    number: int
    """Its row, from 0."""
    text: str
    label: str = ""
    problem: str = ""
    """Why there is no text; empty where there is one."""


def read_texts(
    path: Path, text_column: str = "text", label_column: str = "", options: ReadOptions = PLAIN
) -> Iterator[NumberedText]:
    """Stream the texts of a table, or of a ``.txt`` file (separated by blank lines if it has any, else one a line).

    Parameters
    ----------
    path : Path
        A file of one of the formats of `sparse_probing`'s sources: CSV, TSV, JSON, Parquet, Feather, Arrow, text.
    text_column, label_column : str
        Columns of a table; an empty name for no labels.
    options : ReadOptions
        Separator and encoding.

    Raises
    ------
    SourceError
        When the file does not exist, has another format or no such column; while it is read, when it is damaged.
    """
    suffix = name_without_compression(path).suffix.lower()
    columns = SourceColumns(text_column, label_column, group="")
    if suffix == TEXT_SUFFIX and path.is_file():
        rows = read_text_file(path, columns, repeat(""), options.encoding)
        return (NumberedText(number, row.text) for number, row in zip(count(), rows, strict=False))
    if suffix not in TABLE_SUFFIXES:
        formats = ", ".join((*TABLE_SUFFIXES, TEXT_SUFFIX))
        raise SourceError(f"Texts are read from a file that ends in {formats}, and {path} does not. Check --texts.")
    table = open_table(path, options, columns.names())
    names = columns_to_read(columns, table.columns, str(path))
    return (_numbered(n, r, text_column, label_column) for n, r in zip(count(), table.records(names), strict=False))


def _numbered(number: int, record: dict, text_column: str, label_column: str) -> NumberedText:
    try:
        label = usable_value(value_of(record, label_column)) if label_column else ""
    except UnusableValueError:
        label = ""
    label = "" if label is None else str(label)
    try:
        text = usable_value(value_of(record, text_column))
    except UnusableValueError as error:
        return NumberedText(number, "", label, f"the cell {error}")
    if isinstance(text, list | dict):
        return NumberedText(number, "", label, "the cell is neither text nor a number")
    return NumberedText(number, "" if text is None else str(text), label, "" if text is not None else "no text")
