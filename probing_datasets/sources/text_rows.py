"""From the records of a table to rows of text, label and group; values that cannot be used are counted."""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NamedTuple

from probing_datasets.foundation.errors import SourceError, list_known
from probing_datasets.sources.groups import group_of_row


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
    file: str = ""
    """Column of the path of a text file, whose content is read in place of the text column."""
    missing: tuple[str, ...] = ()
    """What a label, a group, or a value of the further columns, that is missing is called in a table of text; upper and
    lower case are the same."""

    def names(self) -> list[str]:
        """Return the columns that are read."""
        return [name for name in (self.file or self.text, self.label, self.group, *self.further) if name]


class UnusableValueError(Exception):
    """A value that is not what its column needs; the message completes a sentence."""


def columns_to_read(columns: SourceColumns, names: list[str], where: str) -> list[str]:
    """Check that all columns exist, and return those to read: for a field of a struct (a dotted name) the struct.

    Raises
    ------
    SourceError
        When one does not exist, and the message names those that do; or when there are several of its name.
    """
    flags = {"file": columns.file} if columns.file else {"text": columns.text}
    flags |= {"label": columns.label, "group": columns.group}
    flags |= {f"field {name}": name for name in columns.further}
    roots = {role: column if column in names else column.partition(".")[0] for role, column in flags.items()}
    for role, root in roots.items():
        if root and root not in names:
            flag = f"--{role}_column" if not role.startswith("field ") else "the flag of its column"
            advice = " (empty: every row is its own group)." if role == "group" else "."
            if len(names) == 1 and any(sign in names[0] for sign in ";\t|"):
                advice += " Its cells seem to be separated by another sign: name it with --separator."
            raise SourceError(
                f"{where} has no column {flags[role]!r} for the {role}; it has: {list_known(str(flags[role]), names)}. "
                f"Name the right one with {flag}{advice}"
            )
        if names.count(root) > 1:
            raise SourceError(f"{where} has {names.count(root)} columns {root!r}. Rename all except one.")
    return list(dict.fromkeys(filter(None, roots.values())))


def text_rows(
    records: Iterable[dict], columns: SourceColumns, skipped: Counter[str], is_text: bool, own_groups: Iterable[str]
) -> Iterator[TextRow]:
    """Yield the rows of records that have a text and, if a label column is named, a label.

    Parameters
    ----------
    records : iterable of dict
    columns : SourceColumns
    skipped : Counter
        Counts the rows that are left out, by reason.
    is_text : bool
        Whether every cell is text, so that a missing value can only be spelt (``columns.missing``).
    own_groups : iterable of str
        Groups of the rows that name none.
    """
    missing = {word.casefold() for word in columns.missing}
    for own_group, record in zip(own_groups, records, strict=False):
        values: dict[str, Any] = {}
        try:
            for column in columns.names():
                values[column] = usable_value(value_of(record, column))
                if isinstance(values[column], list | dict) and column not in columns.further:
                    raise UnusableValueError("is neither text nor a number")
        except UnusableValueError as error:
            skipped[f"rows are left out: their {column!r} {error}"] += 1
            continue
        text = values[columns.file or columns.text]
        if is_text:
            for column in filter(None, dict.fromkeys((columns.label, columns.group, *columns.further))):
                value = values[column]
                if isinstance(value, str) and value.strip().casefold() in missing:
                    skipped[f"cells of {column!r} are {value.strip()!r}, which means none (--missing_labels)"] += 1
                    values[column] = None
        has_label = not columns.label or values[columns.label] not in (None, "")
        if text in (None, "") or not has_label:
            skipped["rows have no text or no label"] += 1
            continue
        extra = tuple(values[name] for name in columns.further)
        label = str(values[columns.label]) if columns.label else ""
        yield TextRow(str(text), label, group_of_row(values.get(columns.group), own_group), extra)


def value_of(record: Any, column: str) -> Any:
    """Look up a column, or a field of a struct by its dotted name."""
    if column in record:
        return record[column]
    root, _, field = column.partition(".")
    inner = record.get(root)
    return value_of(inner, field) if field and isinstance(inner, dict) else None


def usable_value(value: Any) -> Any:
    """Return a value as JSON has it; None for NaN.

    Raises
    ------
    UnusableValueError
        When it is or holds bytes that are not UTF-8, or a text that UTF-8 cannot write, or when the reader of the table
        put an error in place of the value.
    """
    if isinstance(value, UnusableValueError):
        raise value
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError as error:
            raise UnusableValueError("holds bytes that are not UTF-8") from error
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise UnusableValueError("holds half of a surrogate pair, which is not a character") from error
        return value
    if isinstance(value, list | tuple):
        return [usable_value(item) for item in value]
    if isinstance(value, dict):
        return {str(usable_value(key)): usable_value(item) for key, item in value.items()}
    if isinstance(value, Decimal):
        value = float(value)
    if isinstance(value, float):
        return None if math.isnan(value) else value
    return value if value is None or isinstance(value, bool | int) else str(value)  # dates and times


def digest_rows(rows: list[TextRow]) -> str:
    """Return the SHA-256 (hex) of the rows that were read."""
    state = hashlib.sha256()
    for row in rows:
        for value in (row.text, row.label, row.group, *(json.dumps(v, sort_keys=True) for v in row.extra)):
            data = value.encode("utf-8", errors="surrogatepass")
            state.update(len(data).to_bytes(8, "little") + data)
    return state.hexdigest()
