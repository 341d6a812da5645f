"""What commands print: texts without codes that a terminal obeys, and tables of which no cell is cut.

A terminal has a width. A pipe and a file have none: there every table has all its columns.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from probing_datasets.foundation.printable import printable, printable_lines

FULL_WIDTH = 1_000_000
"""Columns of a pipe or a file."""
WIDEST_GAP = 2
NARROWEST_TEXT = 10
"""Characters that a column of text keeps before other columns are left out."""


def open_console() -> Console:
    """Return a console on standard output, as wide as the terminal or as COLUMNS says; without both, without limit."""
    width, height = shutil.get_terminal_size((FULL_WIDTH, 25))
    return Console(file=sys.stdout, width=width, height=height, highlight=False)


def show(text: object) -> None:
    """Write a text and a line end to standard output; lines are not wrapped."""
    sys.stdout.write(printable_lines(text) + "\n")


@dataclass(frozen=True)
class Column:
    """One column of a table."""

    name: str
    cells: Sequence[object]
    drop_order: float | None = None
    """Where not all columns have room, the one with the smallest number is left out first; None: never."""
    is_text: bool = False
    """Whether it is aligned on the left, and folded over several lines where there is too little room."""
    style: str = ""

    @property
    def widest(self) -> int:
        """Characters that the column takes on one line."""
        return max(cell_len(line) for text in (self.name, *self.cells) for line in printable_lines(text).split("\n"))

    @property
    def narrowest(self) -> int:
        """Characters that the column takes at least: names are folded between words, numbers never."""
        words = max((cell_len(word) for word in printable(self.name).split()), default=1)
        cells = max((cell_len(printable(cell)) for cell in self.cells), default=1)
        return max(words, min(self.widest, NARROWEST_TEXT) if self.is_text else cells)


def fit_table(
    columns: Sequence[Column], width: int, title: str = "", n_summary_rows: int = 0
) -> tuple[Table, list[str]]:
    """Lay out a table in a width, and return it with the names of the columns that are left out.

    Parameters
    ----------
    columns : sequence of Column
    width : int
        Characters of a line.
    title : str
    n_summary_rows : int
        Last rows that a line divides from the others.

    Examples
    --------
    >>> layers = [Column("feature", ["French"], is_text=True)]
    >>> layers += [Column(f"layer {i}", [f"0.{i}"], drop_order=i) for i in range(4)]
    >>> fit_table(layers, width=20)[1]
    ['layer 0', 'layer 1']
    """
    shown = list(columns)
    omitted: list[str] = []
    while True:
        room = width - sum(column.narrowest for column in shown)
        droppable = [column for column in shown if column.drop_order is not None]
        if room >= len(shown) - 1 or not droppable:
            break
        dropped = min(droppable, key=lambda column: column.drop_order or 0)
        shown.remove(dropped)
        omitted.append(dropped.name)
    gaps = max(1, len(shown) - 1)
    gap = max(1, min(WIDEST_GAP, room // gaps))
    room -= gap * (len(shown) - 1)
    table = Table(
        title=Text(printable(title)) if title else None,
        title_justify="left",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=(0, gap - 1, 0, 0),
    )
    for column in shown:
        extra = max(0, min(column.widest - column.narrowest, room))
        room -= extra
        table.add_column(
            Text(printable(column.name), style=column.style),
            justify="left" if column.is_text else "right",
            width=max(1, column.narrowest + extra),
            overflow="fold",
        )
    n_rows = len(columns[0].cells)
    for i in range(n_rows):
        if i == n_rows - n_summary_rows:
            table.add_section()
        table.add_row(*(Text(printable_lines(column.cells[i])) for column in shown))
    names = [column.name for column in columns if column.name in omitted]
    return table, names
