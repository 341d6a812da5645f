"""Test F1 over the number of neurons in the probe: one panel per feature, one line per layer."""

from __future__ import annotations

import math
from pathlib import Path

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import ScalarFormatter

from probing_datasets.foundation.errors import SettingsError
from probing_datasets.foundation.printable import printable
from probing_datasets.model_names import model_slug
from sparse_probing.runs.load_results import rows_of
from sparse_probing.runs.planning.run_record import Run

COLUMNS = 3
PANEL_SIZE = (3.4, 2.6)
"""Inches."""
MOST_PANELS = 30
"""Features of one page: a figure of 170 takes half a minute, and is too high to look at."""


def f1_over_k(results: pd.DataFrame | Run | Path | str, page: int = 1) -> Figure:
    """Draw a sparsity sweep; probes on shuffled labels are dotted grey.

    Parameters
    ----------
    results : pandas.DataFrame, Run or path
        Rows of `load_results`, or a run.
    page : int
        Of more than 30 features, page 1 has the 30 with the largest mean F1 over layers and k, page 2 the next.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    SettingsError
        When there is no such page, or no probe.
    """
    rows = rows_of(results)
    scores = rows[rows["control"] == ""].groupby("feature")["test_f1_score"].mean()
    if scores.empty:
        raise SettingsError("There is no probe to draw. `status` says why features could not be probed.")
    n_pages = math.ceil(len(scores) / MOST_PANELS)
    if not 1 <= page <= n_pages:
        raise SettingsError(f"There is no page {page}: {len(scores)} features take pages 1 to {n_pages}.")
    by_score = scores.sort_values(ascending=False, kind="stable").index
    features = sorted(by_score[(page - 1) * MOST_PANELS : page * MOST_PANELS])
    rows = rows[rows["feature"].isin(features)]
    layers = sorted(rows["layer"].unique())
    n_columns = min(COLUMNS, len(features))
    n_rows = math.ceil(len(features) / n_columns)
    size = (PANEL_SIZE[0] * n_columns + 1.2, PANEL_SIZE[1] * n_rows + 0.6)
    figure = Figure(figsize=size, layout="constrained")
    panels = list(figure.subplots(n_rows, n_columns, sharex=True, sharey=True, squeeze=False).flat)
    colours = mpl.colormaps["viridis"]
    palette = {layer: colours(0.9 * i / max(1, len(layers) - 1)) for i, layer in enumerate(layers)}
    for panel, feature in zip(panels, features, strict=False):
        of_feature = rows[rows["feature"] == feature]
        for layer, colour in palette.items():
            for control in sorted(of_feature["control"].unique(), reverse=True):
                line = of_feature[(of_feature["layer"] == layer) & (of_feature["control"] == control)]
                line = line.groupby("k", as_index=False)["test_f1_score"].mean()  # over folds and trials
                if control:  # one entry in the legend, for the first layer
                    label = control.replace("_", " ") if layer == layers[0] else None
                    panel.plot(line["k"], line["test_f1_score"], label=label, color="0.7", linestyle=":")
                else:
                    panel.plot(line["k"], line["test_f1_score"], label=f"layer {layer}", color=colour, marker=".")
        panel.set_xscale("log", base=2)
        panel.xaxis.set_major_formatter(ScalarFormatter())
        panel.set_ylim(0, 1.02)
        panel.grid(alpha=0.3)
        panel.set_title(printable(feature), fontsize=10, parse_math=False)  # a label may contain $
    for panel in panels[len(features) :]:
        panel.set_visible(False)
    handles, names = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside right upper", fontsize=8)
    figure.supxlabel("neurons in the probe (k)", fontsize=10)
    figure.supylabel("F1 on held-out groups", fontsize=10)
    first = rows.iloc[0]
    model = f"{model_slug(first['model'])}{' (random weights)' if first['random_init'] else ''}"
    source = ", ".join(filter(None, [first["dataset"], first["hook_point"], first["aggregation"]]))
    source = f"{model}: {source}" if first["model"] else source
    source += f"; page {page} of {n_pages}, {len(scores):,} features" if n_pages > 1 else ""
    figure.suptitle(printable(source), fontsize=10, parse_math=False)
    return figure
