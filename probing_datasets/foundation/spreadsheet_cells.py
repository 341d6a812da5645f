"""Text in CSV files: a spreadsheet takes a cell that begins with ``=`` or ``+`` for a formula, and runs it.

Such a text gets an apostrophe in front, as does a text that begins with an apostrophe, so that reading is exact.
"""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

ESCAPE = "'"
FORMULA_BEGINNINGS = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""First characters of a formula, with their full-width forms, and white space that a spreadsheet skips."""


def safe_cell(text: str) -> str:
    """Return a text as a cell that no spreadsheet takes for a formula; `cell_text` is the inverse.

    Examples
    --------
    >>> safe_cell("=1+1"), safe_cell("noun")
    ("'=1+1", 'noun')
    """
    return ESCAPE + text if text.startswith((ESCAPE, *FORMULA_BEGINNINGS)) else text


def cell_text(cell: str) -> str:
    """Return the text behind a cell that `safe_cell` wrote.

    Examples
    --------
    >>> cell_text("'=1+1"), cell_text("noun")
    ('=1+1', 'noun')
    """
    return cell.removeprefix(ESCAPE)


def csv_bytes(table: pd.DataFrame, float_format: str | None = None) -> bytes:
    """Return a table as CSV in UTF-8 whose texts are safe in a spreadsheet."""
    safe, quoting = table.copy(), csv.QUOTE_MINIMAL
    for column in table.columns:
        texts = [isinstance(value, str) for value in table[column]]
        if any(is_text and "\r" in value for value, is_text in zip(table[column], texts, strict=True)):
            quoting = csv.QUOTE_NONNUMERIC  # minimal quoting leaves it bare, and a reader takes it for an end of line
        if any(texts):
            safe[column] = [
                safe_cell(value) if is_text else value for value, is_text in zip(table[column], texts, strict=True)
            ]
    return safe.to_csv(index=False, float_format=float_format, lineterminator="\n", quoting=quoting).encode()
