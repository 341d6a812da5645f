"""The share of planted neurons that each ranking finds, over the shift of those neurons by the label."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

N_BINS = 8


def planted_neurons(trials: pd.DataFrame) -> Figure:
    """Draw one line per ranking: means over trials of a similar shift.

    Parameters
    ----------
    trials : pandas.DataFrame
        Rows of :func:`sparse_probing.reporting.planted_neurons.run_study`.

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    axes = figure.subplots()
    edges = np.geomspace(trials["shift"].min(), trials["shift"].max() * 1.001, N_BINS + 1)
    bins = np.digitize(trials["shift"], edges) - 1
    for ranking, rows in trials.groupby("ranking", sort=False):
        means = rows["found"].groupby(bins[rows.index]).mean()
        centres = np.sqrt(edges[means.index] * edges[means.index + 1])
        axes.plot(centres, means, marker=".", label=str(ranking).replace("_", " "))
    axes.set_xscale("log")
    axes.set_ylim(-0.02, 1.02)
    axes.set_xlabel("shift of the planted neurons (standard deviations)")
    axes.set_ylabel("share of them among the first k")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    return figure
