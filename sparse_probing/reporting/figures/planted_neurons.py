"""The share of planted neurons that each ranking finds, over how far the label shifts them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from probing_datasets.foundation.atomic_files import atomic_file

N_BINS = 8


def draw_planted_neurons(trials: pd.DataFrame) -> Figure:
    """Draw one line per ranking: means over trials of a similar shift."""
    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    axes = figure.subplots()
    edges = np.geomspace(trials["shift"].min(), trials["shift"].max() * 1.001, N_BINS + 1)
    place = np.digitize(trials["shift"], edges) - 1
    for ranking, rows in trials.groupby("ranking", sort=False):
        means = rows["found"].groupby(place[rows.index]).mean()
        centres = np.sqrt(edges[means.index] * edges[means.index + 1])
        axes.plot(centres, means, marker=".", label=str(ranking).replace("_", " "))
    axes.set_xscale("log")
    axes.set_ylim(-0.02, 1.02)
    axes.set_xlabel("shift of the planted neurons (standard deviations)")
    axes.set_ylabel("share of them among the first k")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    return figure


def save_planted_neurons(trials: pd.DataFrame, path: Path) -> None:
    """Draw and save as PNG, atomically."""
    with atomic_file(path) as temporary:
        draw_planted_neurons(trials).savefig(temporary, format="png", dpi=150)
