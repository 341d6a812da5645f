"""Saved figures: PNG files of the size of the figure, without leftovers."""

import struct

import pytest
from matplotlib.figure import Figure

from sparse_probing.reporting.figures.save_figure import save_figure


def test_the_saved_file_is_a_png_of_the_size_of_the_figure(tmp_path):
    figure = Figure(figsize=(4.2, 2.6))
    figure.subplots().plot([1, 2], [3, 4])
    save_figure(figure, tmp_path / "figure.png")
    data = (tmp_path / "figure.png").read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = figure.get_size_inches() * 150
    assert struct.unpack(">II", data[16:24]) == pytest.approx((width, height), abs=1)
    assert not list(tmp_path.glob(".tmp-*"))
