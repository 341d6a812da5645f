"""Test F1 over the number of neurons in the probe: one panel per feature, one line per layer."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import ScalarFormatter

from probing_datasets.foundation.atomic_files import atomic_file
from probing_datasets.model_names import model_slug

COLUMNS = 3
PANEL_SIZE = (3.4, 2.6)


def draw_f1_over_k(results: pd.DataFrame) -> Figure:
    """Draw the rows of a sparsity sweep; probes on shuffled labels are dotted grey."""
    features = sorted(results["feature"].unique())
    layers = sorted(results["layer"].unique())
    n_columns = min(COLUMNS, len(features))
    n_rows = math.ceil(len(features) / n_columns)
    size = (PANEL_SIZE[0] * n_columns + 1.2, PANEL_SIZE[1] * n_rows + 0.6)
    figure = Figure(figsize=size, layout="constrained")
    panels = list(figure.subplots(n_rows, n_columns, sharex=True, sharey=True, squeeze=False).flat)
    colours = mpl.colormaps["viridis"]
    palette = {layer: colours(0.9 * i / max(1, len(layers) - 1)) for i, layer in enumerate(layers)}
    for panel, feature in zip(panels, features, strict=False):
        _draw_panel(panel, results[results["feature"] == feature], palette)
        panel.set_title(feature, fontsize=10)
    for panel in panels[len(features) :]:
        panel.set_visible(False)
    handles, names = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside right upper", fontsize=8)
    figure.supxlabel("neurons in the probe (k)", fontsize=10)
    figure.supylabel("F1 on held-out groups", fontsize=10)
    first = results.iloc[0]
    model = f"{model_slug(first['model'])}{' (random weights)' if first['random_init'] else ''}"
    figure.suptitle(f"{model}: {first['dataset']}, {first['hook_point']}, {first['aggregation']}", fontsize=10)
    return figure


def save_f1_over_k(results: pd.DataFrame, path: Path) -> None:
    """Draw and save as PNG, atomically."""
    with atomic_file(path) as temporary:
        draw_f1_over_k(results).savefig(temporary, format="png", dpi=150)


def _draw_panel(panel: Axes, rows: pd.DataFrame, palette: dict) -> None:
    for layer, colour in palette.items():
        for control in sorted(rows["control"].unique(), reverse=True):
            line = rows[(rows["layer"] == layer) & (rows["control"] == control)]
            line = line.groupby("k", as_index=False)["test_f1_score"].mean()  # over folds and trials
            style: dict[str, Any] = {"color": "0.7", "linestyle": ":"} if control else {"color": colour, "marker": "."}
            label = control.replace("_", " ") if control else f"layer {layer}"
            first_control = control and layer == next(iter(palette))
            panel.plot(
                line["k"],
                line["test_f1_score"],
                label=label if not control or first_control else None,
                **style,
            )
    panel.set_xscale("log", base=2)
    panel.xaxis.set_major_formatter(ScalarFormatter())
    panel.set_ylim(0, 1.02)
    panel.grid(alpha=0.3)
