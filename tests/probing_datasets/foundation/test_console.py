"""Tables and lines of commands: no cell is cut at any width, and nothing that a terminal obeys is printed."""

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from probing_datasets.foundation.console import FULL_WIDTH, Column, fit_table, open_console

ROOT = Path(__file__).parents[3]


def printed(columns: list[Column], width: int) -> tuple[list[str], list[str]]:
    """Return the lines of a table, and the columns that it leaves out."""
    console = Console(file=io.StringIO(), width=width)
    table, left_out = fit_table(columns, width)
    console.print(table)
    return console.file.getvalue().splitlines(), left_out


LABELS = st.text(st.characters(codec="ascii", exclude_categories=["Cc", "Zs"]), min_size=1, max_size=40)


@given(st.lists(LABELS, min_size=1, max_size=3), st.integers(1, 40), st.integers(16, 300))
def test_no_cell_is_cut_at_any_width(labels, n_layers, width):
    columns = [Column("feature", labels, is_text=True)]
    columns += [Column(f"layer {i}", [f"0.{i:03d}"] * len(labels), drop_order=i) for i in range(n_layers)]
    lines, left_out = printed(columns, width)
    assert all(len(line) <= width for line in lines)
    # The layers with the largest numbers are shown whole, in their order.
    shown = [f"0.{i:03d}" for i in range(len(left_out), n_layers)]
    assert left_out == [f"layer {i}" for i in range(len(left_out))]
    rows = [line.split() for line in lines if shown and line.endswith(shown[-1])]
    assert [row[-len(shown) :] for row in rows] == [shown] * (len(labels) if shown else 0)
    # A label that does not fit is folded, not cut.
    body = lines[next(i for i, line in enumerate(lines) if line.startswith("─")) + 1 :]
    cells = "".join(line.rpartition(" " + shown[0])[0] if shown and shown[0] in line else line for line in body)
    assert "".join(cells.split()).startswith(labels[0])


def test_a_console_is_as_wide_as_columns_says_and_otherwise_without_limit(monkeypatch):
    monkeypatch.setenv("COLUMNS", "70")
    assert open_console().width == 70
    monkeypatch.delenv("COLUMNS")
    program = "from probing_datasets.foundation.console import open_console; print(open_console().width)"
    environment = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=environment | {"TERM": "dumb"}, capture_output=True, text=True
    )
    assert int(done.stdout) == FULL_WIDTH


@pytest.mark.parametrize("label", ["[red]", "[/]", "\x1b[31m", "a\u202eb", "\\"])
def test_labels_are_printed_as_they_are_or_escaped(label):
    lines, _ = printed([Column("feature", [label], is_text=True)], 80)
    assert lines[-1].strip() in (label, ascii(label)[1:-1])
    assert "\x1b" not in "".join(lines)
    assert "\u202e" not in "".join(lines)
