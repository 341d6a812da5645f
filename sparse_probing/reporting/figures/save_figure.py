"""Save a figure as PNG."""

from __future__ import annotations

from pathlib import Path

from matplotlib.figure import Figure

from probing_datasets.foundation.files.atomic_files import atomic_file


def save_figure(figure: Figure, path: Path) -> None:
    """Save a figure as PNG with 150 dots per inch, atomically."""
    with atomic_file(path) as temporary:
        figure.savefig(temporary, format="png", dpi=150)
