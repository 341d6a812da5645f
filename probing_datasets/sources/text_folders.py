"""Read folders of texts: source files, or text files with a folder for each label; and texts that a table names."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import groupby, islice
from pathlib import Path
from typing import Any

from probing_datasets.foundation.errors import SourceError
from probing_datasets.foundation.file_languages import LANGUAGE_OF_EXTENSION
from probing_datasets.foundation.files.text_files import (
    READ_ERRORS,
    name_without_compression,
    open_text,
    read_text,
    unreadable,
)
from probing_datasets.sources import table_files
from probing_datasets.sources.groups import group_of_file
from probing_datasets.sources.table_files import TABLE_SUFFIXES, bounded_lines
from probing_datasets.sources.text_rows import SourceColumns, TextRow, value_of

TEXT_SUFFIX = ".txt"
MAX_FILE_BYTES = 1_000_000
"""A larger file of a folder is skipped, and so is one that has more characters when it is decompressed."""


def read_text_file(
    path: Path, columns: SourceColumns, own_groups: Iterator[str], encoding: str = ""
) -> Iterator[TextRow]:
    """Stream the texts of one file: separated by blank lines if it has any, otherwise one a line.

    Raises
    ------
    SourceError
        When the file cannot be read, or a label is needed.
    """
    if unknown := [name for name in columns.further if name != columns.label]:
        raise SourceError(f"{path} holds texts without a column {unknown[0]!r}. Pass a table.")
    if columns.label:
        raise SourceError(
            f"{path} holds texts without labels. Pass a table with columns for text and label, or a folder with a "
            f"folder of {TEXT_SUFFIX} files for each label."
        )
    blocks = (block for block, _ in groupby(_lines_of(path, encoding), _is_not_blank) if block)
    has_paragraphs = len(list(islice(blocks, 2))) > 1
    texts = _paragraphs(path, encoding) if has_paragraphs else filter(_is_not_blank, _lines_of(path, encoding))
    return (TextRow(text.strip(), group=group) for group, text in zip(own_groups, texts, strict=False))


def _is_not_blank(line: str) -> bool:
    return not (line == "" or line.isspace())


def _lines_of(path: Path, encoding: str) -> Iterator[str]:
    try:
        with open_text(path, encoding) as file:
            yield from bounded_lines(path, file)
    except READ_ERRORS as error:
        raise unreadable(path, error) from error


def _paragraphs(path: Path, encoding: str) -> Iterator[str]:
    for is_paragraph, lines in groupby(_lines_of(path, encoding), _is_not_blank):
        if is_paragraph:
            paragraph, n_characters = [], 0
            for line in lines:
                paragraph.append(line)
                n_characters += len(line)
                if n_characters > table_files.MAX_RECORD_CHARACTERS:
                    raise SourceError(
                        f"{path} has a paragraph of more than {table_files.MAX_RECORD_CHARACTERS:,} characters. "
                        "Put blank lines between its texts."
                    )
            yield "".join(paragraph)


def read_folder(root: Path, columns: SourceColumns, skipped: Counter[str], encoding: str = "") -> Iterator[TextRow]:
    """Stream the source files of a folder, or its text files if it has no source files.

    The name of the folder below ``root`` that a text file is in is its label, whatever the label column is called.

    Raises
    ------
    SourceError
        When there are no such files, a text file has no label where one is needed, or further columns are needed.
    """
    if unknown := [name for name in columns.further if name != columns.label]:
        raise SourceError(f"{root} is a folder, which has no column {unknown[0]!r}. Pass a table.")
    paths = list(_files_below(root))
    if any(path.suffix.lower() in LANGUAGE_OF_EXTENSION for path in paths):
        rows = read_source_files(root, skipped, encoding)
    else:
        texts = [path for path in paths if name_without_compression(path).suffix.lower() == TEXT_SUFFIX]
        tables = [path for path in paths if name_without_compression(path).suffix.lower() in TABLE_SUFFIXES]
        if not texts:
            advice = f"Pass its tables, such as {tables[0]}" if tables else "Check --source"
            raise SourceError(f"{root} holds neither source files nor {TEXT_SUFFIX} files. {advice}.")
        loose = [path for path in texts if path.parent == root]
        if columns.label and loose:
            advice = (
                f"If {tables[0]} has their labels, pass it as --source, and its column of file names as --file_column."
                if tables
                else "If a table has their labels, pass it as --source, and its column of file names as --file_column."
            )
            raise SourceError(
                f"{loose[0]} has no label: the label of a {TEXT_SUFFIX} file is the name of the folder below {root} "
                f"that it is in. {advice}"
            )
        rows = _read_text_files(root, texts, skipped, encoding)
    return (row._replace(extra=(row.label,) * len(columns.further)) for row in rows)


def _read_text_files(root: Path, paths: list[Path], skipped: Counter[str], encoding: str) -> Iterator[TextRow]:
    for path in paths:
        text = _text_or_skip(path, skipped, encoding)
        if text:
            place = path.relative_to(root)
            yield TextRow(text, place.parts[0] if len(place.parts) > 1 else "", str(place))


def read_source_files(root: Path, skipped: Counter[str], encoding: str = "") -> Iterator[TextRow]:
    """Stream the source files below a folder: label by extension, group by first sub-folder (the package)."""
    for path in _files_below(root):
        label = LANGUAGE_OF_EXTENSION.get(path.suffix.lower())
        if label is None:
            continue
        text = _text_or_skip(path, skipped, encoding)
        if text:
            yield TextRow(text, label, group_of_file(path, root))


def with_texts_of_files(
    records: Iterable[dict[str, Any]], column: str, folder: Path, skipped: Counter[str], encoding: str
) -> Iterator[dict[str, Any]]:
    """Yield the records of a table with the content of the files that they name in place of the names.

    Parameters
    ----------
    records : iterable of dict
    column : str
        Column of the paths, relative to ``folder``.
    folder : Path
        Folder of the table. No file outside of it is read.
    skipped : Counter
        Counts the files that do not exist or are not text.
    encoding : str

    Raises
    ------
    SourceError
        When a path leads out of the folder.
    """
    folder = folder.resolve()
    for record in records:
        name = value_of(record, column)
        name = name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name or "").strip()
        try:
            path = (folder / name).resolve()
            is_file = path.is_file()
        except (OSError, RuntimeError, ValueError):  # no name of a file: too long, a loop of links, a zero byte
            path, is_file = folder, False
        if not path.is_relative_to(folder):
            raise SourceError(f"The table names a file outside of its folder {folder}: {name!r}. Move the file there.")
        if is_file:
            yield record | {column: _text_or_skip(path, skipped, encoding) or None}
        else:
            skipped[f"rows name a file that does not exist in {folder}"] += 1


def _text_or_skip(path: Path, skipped: Counter[str], encoding: str) -> str:
    """Return the text of a file of a folder; empty, and counted by its reason, where there is none."""
    try:
        is_large = path.stat().st_size > MAX_FILE_BYTES
        text = "" if is_large else read_text(path, encoding, MAX_FILE_BYTES + 1)
    except (OSError, SourceError):
        skipped[f"files are not text in {encoding or 'UTF-8'}"] += 1
        return ""
    if is_large or len(text) > MAX_FILE_BYTES:
        skipped[f"files are larger than {MAX_FILE_BYTES:,} bytes"] += 1
        return ""
    text = text.strip()
    if not text:
        skipped["files hold no text"] += 1
    return text


def _files_below(root: Path) -> Iterator[Path]:
    """Yield the files below a folder in a fixed order, without links and special files."""
    for folder, folders, files in os.walk(root):
        folders.sort()  # `os.walk` visits the folders in this order
        for name in sorted(files):
            path = Path(folder) / name
            if path.is_file() and not path.is_symlink():
                yield path
