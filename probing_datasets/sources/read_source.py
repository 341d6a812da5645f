"""Read labelled texts: bundled texts, local tables, files and folders of text or source code, hub data sets."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from probing_datasets.demo import DEMO_TEXTS
from probing_datasets.foundation.errors import SourceError
from probing_datasets.foundation.files.saved_datasets import is_saved_dataset
from probing_datasets.foundation.files.text_files import name_without_compression
from probing_datasets.sources.groups import groups_of_rows
from probing_datasets.sources.hugging_face_tables import open_hub, open_saved_dataset
from probing_datasets.sources.table_files import PLAIN, TABLE_SUFFIXES, ReadOptions, Table, open_table
from probing_datasets.sources.text_folders import TEXT_SUFFIX, read_folder, read_text_file, with_texts_of_files
from probing_datasets.sources.text_rows import SourceColumns, TextRow, columns_to_read, text_rows


def read_source(
    source: str | tuple[str, ...],
    collection: str,
    columns: SourceColumns,
    options: ReadOptions = PLAIN,
    skipped: Counter[str] | None = None,
) -> Iterator[TextRow]:
    """Stream the labelled texts of a source, or of several.

    Parameters
    ----------
    source : str or tuple of str
        ``demo`` (the bundled texts); a table (`table_files` has the formats); a ``.txt`` file; a
        folder of source files (labelled by extension, grouped by the first folder below it) or of ``.txt`` files
        (labelled by the first folder below it, every file its own group); a folder that `datasets` saved; or the name
        of a hub data set.
    collection : str
        Name of the collection, which decides the bundled texts.
    columns : SourceColumns
        Columns of a table or hub data set. An empty group column makes every row its own group; a dotted
        name reaches into a struct (``meta.pile_set_name``).
    options : ReadOptions
    skipped : Counter, optional
        Counts the rows or files that are skipped, by reason.

    Raises
    ------
    SourceError
        When a source does not exist, cannot be read, or has no column of a name in ``columns``.
    """
    skipped = Counter() if skipped is None else skipped
    if isinstance(source, str):
        return _read_one(source, collection, columns, options, skipped)
    # All are opened before the first is read, so that a wrong name is reported at once.
    several = len(source) > 1
    opened = [_read_one(name, collection, columns, options, skipped, name if several else "") for name in source]
    return chain.from_iterable(opened)


def _read_one(
    source: str,
    collection: str,
    columns: SourceColumns,
    options: ReadOptions,
    skipped: Counter[str],
    prefix: str = "",
) -> Iterator[TextRow]:
    """Stream the texts of one source; ``prefix`` begins the groups that are not the cells of a column."""
    own_groups = groups_of_rows(prefix)
    if source == "demo":
        return _rows_of(open_table(demo_texts(collection), PLAIN), SourceColumns(), skipped, "demo", own_groups)
    path = Path(source).expanduser()
    suffix = name_without_compression(path).suffix.lower()
    if columns.file and (path.is_dir() or suffix not in TABLE_SUFFIXES):
        raise SourceError(f"--file_column needs a table in a file, whose folder holds the texts; got {source}.")
    if path.is_dir():
        if is_saved_dataset(path):
            return _rows_of(open_saved_dataset(path, options), columns, skipped, source, own_groups)
        rows = read_folder(path, columns, skipped, options.encoding)
        return (row._replace(group=f"{prefix}: {row.group}") for row in rows) if prefix else rows
    if suffix in TABLE_SUFFIXES:
        table = open_table(path, options, columns.names())
        if columns.file:
            table = _with_files(table, columns, path.parent, skipped, options)
        return _rows_of(table, columns, skipped, source, own_groups)
    if suffix == TEXT_SUFFIX:
        return read_text_file(path, columns, own_groups, options.encoding)
    if path.exists():
        formats = ", ".join((*TABLE_SUFFIXES, TEXT_SUFFIX))
        raise SourceError(f"{path} has no known format. Pass a file that ends in {formats}, or one of these and .gz.")
    if not is_hub_name(source):
        raise SourceError(f"There is no file or folder {source}, and this is not a name on the hub. Check --source.")
    return _rows_of(open_hub(source, options), columns, skipped, source.partition(":")[0], own_groups)


def is_hub_name(source: str) -> bool:
    """Whether a name has the form of a hub data set: ``name`` or ``owner/name``, perhaps with ``:configuration``."""
    return re.fullmatch(r"[\w.-]+(/[\w.-]+)?(:[^/]+)?", source) is not None and not source.startswith(".")


def _rows_of(
    table: Table, columns: SourceColumns, skipped: Counter[str], where: str, own_groups: Iterator[str]
) -> Iterator[TextRow]:
    records = table.records(columns_to_read(columns, table.columns, where))
    return text_rows(records, columns, skipped, table.is_text, own_groups)


def _with_files(
    table: Table, columns: SourceColumns, folder: Path, skipped: Counter[str], options: ReadOptions
) -> Table:
    """Return a table whose column of file names holds the contents of the files."""
    return Table(
        table.columns,
        lambda names: with_texts_of_files(table.records(names), columns.file, folder, skipped, options.encoding),
        table.is_text,
    )


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
