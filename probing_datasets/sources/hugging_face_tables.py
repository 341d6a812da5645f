"""Stream the records of data sets of Hugging Face: on the hub, or in a folder that `save_to_disk` wrote."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from probing_datasets.foundation.errors import DamagedFileError, SourceError, first_line, list_known
from probing_datasets.foundation.files.saved_datasets import load_saved_dataset
from probing_datasets.sources.hub_names import why_not_on_hub
from probing_datasets.sources.table_files import ReadOptions, Table, records_of_batch
from probing_datasets.sources.text_rows import UnusableValueError

BATCH_ROWS = 256


def open_saved_dataset(path: Path, options: ReadOptions) -> Table:
    """Open a data set, or one split of several, that `save_to_disk` wrote.

    Raises
    ------
    SourceError
        When the folder is damaged, or has no such split.
    """
    import datasets  # slow to import
    import pyarrow.lib

    try:
        saved = load_saved_dataset(path)
    except DamagedFileError as error:
        raise SourceError(f"{path} is a damaged folder of `datasets`: {error}") from error
    if isinstance(saved, datasets.DatasetDict):
        if options.split not in saved:
            known = list_known(options.split, list(map(str, saved)))
            raise SourceError(f"{path} has no split {options.split!r}; it has: {known}. Pass --source_split.")
        saved = saved[options.split]

    def records(columns: list[str]) -> Iterator[dict[str, Any]]:
        try:
            for batch in saved.select_columns(columns).with_format("arrow").iter(BATCH_ROWS):
                yield from records_of_batch(batch)  # type: ignore[arg-type]
        except (OSError, ValueError, LookupError, TypeError, pyarrow.lib.ArrowException) as error:
            raise SourceError(f"{path} is a damaged folder of `datasets`: {first_line(error)}") from error

    return Table(saved.column_names, _with_names_of_classes(records, saved.features))


def open_hub(name: str, options: ReadOptions) -> Table:
    """Open a data set of the Hugging Face hub (``owner/name`` or ``owner/name:configuration``).

    Raises
    ------
    SourceError
        When it cannot be reached, or has no such configuration or split.
    """
    repository, _, configuration = name.partition(":")
    if reason := why_not_on_hub(repository, "dataset"):
        raise _unreadable(repository, options.split, reason)

    import datasets  # slow to import
    import pyarrow.lib

    try:
        table = datasets.load_dataset(repository, configuration or None, split=options.split, streaming=True)
        columns = list(table.features or next(iter(table)))
    except Exception as error:
        reason = f"{type(error).__name__}: {first_line(error)}"
        raise _unreadable(repository, options.split, reason) from error

    def records(columns: list[str]) -> Iterator[dict[str, Any]]:
        try:
            for batch in table.select_columns(columns).with_format("arrow").iter(BATCH_ROWS):
                yield from records_of_batch(batch)  # type: ignore[arg-type]
        except (OSError, ValueError, pyarrow.lib.ArrowException) as error:
            raise SourceError(f"Reading the hub data set {name!r} failed: {error}. Run the command again.") from error

    return Table(columns, _with_names_of_classes(records, table.features or {}))


def _unreadable(repository: str, split: str, reason: str) -> SourceError:
    return SourceError(
        f"No file, folder or hub data set {repository!r} could be read (split {split!r}): {reason.rstrip('.')}. "
        "Pass a local .parquet, .jsonl, .csv or .txt file, a folder of such texts or source files, or `demo`; "
        "a hub data set needs the network or a filled HF_HOME cache."
    )


def _with_names_of_classes(
    records: Callable[[list[str]], Iterable[dict[str, Any]]], features: Any
) -> Callable[[list[str]], Iterator[dict[str, Any]]]:
    """Put the names of classes in place of their numbers; None for -1, which means "no class"."""

    def named(columns: list[str]) -> Iterator[dict[str, Any]]:
        kinds = {name: features[name] for name in columns if hasattr(features.get(name), "int2str")}
        for record in records(columns):
            for name, kind in kinds.items():
                number = record[name]
                if isinstance(number, int):
                    record[name] = _name_of_class(kind, number)
            yield record

    return named


def _name_of_class(kind: Any, number: int) -> str | UnusableValueError | None:
    if number == -1:
        return None
    if 0 <= number < kind.num_classes:
        return kind.int2str(number)
    return UnusableValueError(f"is a number that is not one of its {kind.num_classes} classes")
