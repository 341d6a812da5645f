"""What a person sees at the end of a run: the best neurons, the CSV and the figure."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from analysis.figures.f1_over_k import save_f1_over_k
from analysis.load_results import load_results
from analysis.neurons import best_neurons, f1_by_layer, write_ranked_neurons
from experiments.cluster.run import Run


def report(run: Run, console: Console) -> list[Path]:
    """Write the ranked neurons and the figure of a run into its folder, and print its best neurons.

    Returns
    -------
    list of Path
        The files that were written.
    """
    results = load_results(run)
    if results.empty:
        return []
    if (results["k"] == 1).any():
        path = run.path / "ranked_neurons.csv"
        write_ranked_neurons(results, path)
        console.print(neuron_table(best_neurons(results)))
        console.print(layer_table(f1_by_layer(results), "The same for each layer: F1 on held-out groups"))
        written = [path]
    else:
        console.print(layer_table(_f1_of_probes(results), "F1 on held-out groups"))
        written = []
    if results["k"].nunique() > 1:
        path = run.path / "f1_over_k.png"
        save_f1_over_k(results, path)
        written.append(path)
    for path in written:
        console.print(f"wrote {path}", soft_wrap=True, markup=False)
    return written


def neuron_table(neurons: pd.DataFrame) -> Table:
    """Lay out the first-ranked neuron of each feature."""
    title = "The fitted single neuron that does best on training rows, scored on held-out groups"
    table = Table("feature", "neuron", "sign", title=title)
    for name in ("F1", "precision", "recall", "ROC-AUC", "F1, shuffled labels", "positives"):
        table.add_column(name, justify="right")
    for _, row in neurons.iterrows():
        scores = ("test_f1_score", "test_precision", "test_recall", "test_roc_auc", "control_f1_score")
        sign = "+" if row["coef"] > 0 else "-"
        numbers = [*(f"{row[s]:.3f}" for s in scores), f"{row['n_positive_test']:,}"]
        table.add_row(escape(row["feature"]), f"L{row['layer']}.{row['neuron']}", sign, *numbers)
    return table


def layer_table(f1: pd.DataFrame, title: str) -> Table:
    """Lay out F1 by feature (down) and layer (across), with their mean."""
    table = Table("feature", *(f"layer {layer}" for layer in f1.columns), title=title)
    for feature, values in f1.iterrows():
        table.add_row(escape(str(feature)), *(f"{v:.3f}" for v in values))
    table.add_section()
    table.add_row("mean", *(f"{v:.3f}" for v in f1.mean()))
    return table


def _f1_of_probes(results: pd.DataFrame) -> pd.DataFrame:
    rows = results[results["control"] == ""]
    return rows.pivot_table(index="feature", columns="layer", values="test_f1_score", aggfunc="max")
