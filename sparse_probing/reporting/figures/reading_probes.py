"""Figures of reading probes: accuracy over layers, confusion, reliability, training curves, transfer."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from probing_datasets.foundation.printable import printable
from sparse_probing.probes.metrics.temperature import Reliability

STYLES = {
    "shuffled_labels": ("shuffled labels", "0.55", ":"),
    "random_init": ("random weights", "tab:brown", "--"),
    "mass_mean": ("class means", "tab:green", "-."),
    "lda": ("linear discriminant", "tab:olive", "-."),
}
"""Label, colour and line of what is beside the probes."""
FEWEST_IN_A_LINE = 5
"""Rows of a bin through which the line of a reliability diagram goes: the share of fewer says little."""
MOST_NUMBERS = 300
"""Cells of a matrix that get their number printed."""


def accuracy_over_layers(
    table: pd.DataFrame, chosen_layers: Sequence[int], baselines: dict[str, float], title: str, chance: float
) -> Figure:
    """Draw the test accuracy of every layer with its interval, beside controls and text-only baselines.

    Parameters
    ----------
    table : pandas.DataFrame
        A line per layer: layer, test_accuracy, test_accuracy_low, test_accuracy_high, and a column per comparison.
    chosen_layers : sequence of int
        The layers that validation rows chose: one, or those of several test folds.
    baselines : dict
        Test accuracy of probes that see only the text, by name.
    title : str
    chance : float
        Share of the most frequent class.
    """
    figure = Figure(figsize=(7.6, 4.4), layout="constrained")
    axes = figure.subplots()
    layers = table["layer"]
    axes.fill_between(layers, table["test_accuracy_low"], table["test_accuracy_high"], alpha=0.2, linewidth=0)
    axes.plot(layers, table["test_accuracy"], marker="." if len(layers) > 1 else "o", label="probe, with interval")
    for name, (label, colour, line) in STYLES.items():
        if name in table and table[name].notna().any():
            axes.plot(layers, table[name], label=label, color=colour, linestyle=line, linewidth=1.3)
    for i, (name, value) in enumerate(baselines.items()):
        axes.axhline(value, label=printable(name), color=f"C{3 + i}", linewidth=1, alpha=0.8)
    axes.axhline(chance, label="most frequent class", color="black", linewidth=0.8, linestyle=(0, (1, 3)))
    at = table[layers.isin(chosen_layers)]
    axes.plot(
        at["layer"], at["test_accuracy"], marker="o", markersize=10, markerfacecolor="none", color="black", linestyle=""
    )
    axes.annotate(
        "chosen by\nvalidation",
        (float(at["layer"].iloc[0]), float(at["test_accuracy"].iloc[0])),
        (0, 14),
        textcoords="offset points",
        ha="right" if at["layer"].iloc[0] > layers.mean() else "left",
        fontsize=8,
    )
    axes.set_xlabel("layer")
    axes.set_ylabel("accuracy on test groups")
    axes.set_ylim(0, 1.02)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
    axes.set_title(printable(title), fontsize=10, parse_math=False)
    figure.legend(loc="outside right upper", fontsize=8)
    return figure


def confusion_matrix(confusion: NDArray, classes: Sequence[str], title: str) -> Figure:
    """Draw test rows (K, K) by true class (from top to bottom) and predicted class; colours are shares of a row."""
    size = 1.6 + 0.62 * len(classes)
    figure = Figure(figsize=(size + 1.2, size), layout="constrained")
    axes = figure.subplots()
    shares = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    _matrix(figure, axes, shares, confusion.astype(str), "share of the true class", (0, 1), "Blues")
    _name_axes(axes, classes, classes)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    axes.set_title(printable(title), fontsize=10, parse_math=False)
    return figure


def reliability_diagram(before: Reliability, after: Reliability, title: str) -> Figure:
    """Draw how often predictions of a confidence are right, before and after the temperature.

    Parameters
    ----------
    before, after : Reliability
    title : str
    """
    figure = Figure(figsize=(7.6, 4.0), layout="constrained")
    panels = figure.subplots(1, 2, sharex=True, sharey=True)
    names = ("sigmoid of the score", "after the temperature")
    for axes, bins, name in zip(panels, (before, after), names, strict=True):
        n, filled = bins.n, bins.n > 0
        axes.plot([0, 1], [0, 1], color="0.6", linewidth=0.8)
        x, y = bins.confidence[filled] / n[filled], bins.right[filled] / n[filled]
        of_several = n[filled] >= FEWEST_IN_A_LINE
        axes.plot(x[of_several], y[of_several], color="tab:blue", linewidth=1)
        axes.scatter(x, y, s=8 + 200 * n[filled] / n.sum(), color="tab:blue", alpha=0.7)
        axes.set_title(f"{name}: error {bins.error:.3f}", fontsize=10)
        axes.set_xlabel("confidence in the predicted class")
        axes.grid(alpha=0.3)
    panels[0].set_ylabel("share that is right")
    panels[0].set_xlim(0, 1.02)
    panels[0].set_ylim(0, 1.02)
    figure.suptitle(printable(f"{title}; the area of a point is its share of the rows"), fontsize=10, parse_math=False)
    return figure


def training_curves(metrics: pd.DataFrame, title: str) -> Figure:
    """Draw loss and accuracy over epochs, or over C: a line per layer, validation on the right.

    Parameters
    ----------
    metrics : pandas.DataFrame
        Lines of ``probe_training_metrics.csv`` of one feature and fold.
    title : str
    """
    x = "epoch" if metrics["epoch"].notna().any() else "C"
    figure = Figure(figsize=(8.4, 3.6), layout="constrained")
    panels = figure.subplots(1, 3, sharex=True)
    layers = sorted(metrics["layer"].unique())
    scale = Normalize(layers[0], max(layers[-1], layers[0] + 1))
    colours = mpl.colormaps["viridis"]
    names = {
        "train_loss": "training loss",
        "train_accuracy": "training accuracy",
        "val_accuracy": "validation accuracy",
    }
    for axes, (column, name) in zip(panels, names.items(), strict=True):
        for layer in layers:
            line = metrics[(metrics["layer"] == layer) & metrics[column].notna()]
            axes.plot(line[x].astype(float), line[column], color=colours(scale(layer)), linewidth=1)
        axes.set_title(name, fontsize=10)
        axes.set_xlabel(x)
        axes.grid(alpha=0.3)
        if x == "C":
            axes.set_xscale("log")
        if column != "train_loss":
            axes.set_ylim(0, 1.02)
    bar = ScalarMappable(scale, colours)
    colour_bar = figure.colorbar(bar, ax=panels, label="layer", pad=0.01)
    colour_bar.ax.yaxis.set_major_locator(MaxNLocator(integer=True))
    figure.suptitle(printable(title), fontsize=10, parse_math=False)
    return figure


def transfer_matrix(areas: pd.DataFrame, title: str) -> Figure:
    """Draw areas under the ROC curve: a row per score and test data set, a column per layer."""
    figure = Figure(figsize=(3.6 + 0.3 * len(areas.columns), 1.6 + 0.36 * len(areas)), layout="constrained")
    axes = figure.subplots()
    texts = np.array(
        [["" if np.isnan(v) else f"{v:.2f}"[1 if v < 1 else 0 :] for v in row] for row in areas.to_numpy()]
    )
    _matrix(figure, axes, areas.to_numpy(np.float64), texts, "ROC-AUC", (0, 1), "RdBu_r", font_size=6)
    _name_axes(axes, [str(layer) for layer in areas.columns], [str(name) for name in areas.index], rotation=0)
    axes.set_xlabel("layer")
    axes.set_title(printable(title), fontsize=10, parse_math=False)
    return figure


def _matrix(
    figure: Figure,
    axes: Axes,
    values: NDArray,
    texts: NDArray,
    label: str,
    limits: tuple[float, float],
    colours: str,
    font_size: int = 8,
) -> None:
    """Draw a matrix with a colour bar, and its texts where there are few enough cells."""
    image = axes.imshow(values, cmap=colours, vmin=limits[0], vmax=limits[1], aspect="auto")
    figure.colorbar(image, ax=axes, label=label, pad=0.02)
    if texts.size > MOST_NUMBERS:
        return
    dark = np.abs(values - np.mean(limits)) > 0.3 if colours == "RdBu_r" else values > 0.5
    for (i, j), text in np.ndenumerate(texts):
        axes.text(j, i, text, ha="center", va="center", fontsize=font_size, color="white" if dark[i, j] else "black")


def _name_axes(axes: Axes, columns: Sequence[str], rows: Sequence[str], rotation: int = 40) -> None:
    axes.set_xticks(
        range(len(columns)),
        [printable(name) for name in columns],
        rotation=rotation,
        ha="right" if rotation else "center",
        fontsize=8,
        parse_math=False,
    )
    axes.set_yticks(range(len(rows)), [printable(name) for name in rows], fontsize=8, parse_math=False)
