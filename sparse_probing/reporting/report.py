"""What a person sees at the end of a run: the best neurons, the CSV and the figure."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from sparse_probing.neurons.ranked_neurons import best_neurons, f1_by_layer, write_ranked_neurons
from sparse_probing.reporting.figures.f1_over_k import save_f1_over_k
from sparse_probing.runs.load_results import load_results
from sparse_probing.runs.planning.plan_run import Run

MOST_ROWS = 20

SCORES = {"test_f1_score": "F1", "test_macro_f1_score": "macro F1", "test_r2": "R2"}
"""The score that is shown, by the column that a kind of feature fills."""


def report(run: Run, console: Console) -> list[Path]:
    """Write the ranked neurons and the figures of a run into its folder, and print its best scores.

    Returns
    -------
    list of Path
        The files that were written.
    """
    results = load_results(run)
    if results.empty:
        return []
    written = _report_neurons(results, run.path, console)
    for study, rows in results[~_stands_beside(results)].groupby("study", sort=False):
        _report_study(rows, str(study), console)
        if _sweeps(rows):
            name = "f1_over_k.png" if len(run.config.experiment_type) == 1 else f"f1_over_k.{study}.png"
            save_f1_over_k(rows, run.path / name)
            written.append(run.path / name)
    for path in written:
        console.print(f"wrote {path}", soft_wrap=True, markup=False)
    return written


def _stands_beside(results: pd.DataFrame) -> pd.Series:
    """Whether a probe is there to compare: a logistic refit of an optimal support, or of a ridge not chosen."""
    refit = results["proof_status"].notna() & results["loss"].isna()
    return refit | results["chosen"].isin([False])


def _report_neurons(results: pd.DataFrame, folder: Path, console: Console) -> list[Path]:
    neurons = best_neurons(results)
    if neurons.empty:
        return []
    path = folder / "ranked_neurons.csv"
    write_ranked_neurons(results, path)
    console.print(neuron_table(neurons))
    console.print(layer_table(f1_by_layer(results), "The same for each layer: F1 on held-out groups"))
    return [path]


def _report_study(rows: pd.DataFrame, study: str, console: Console) -> None:
    """Print the best held-out score of every feature and layer, and how rankings and bases compare."""
    plain = rows[rows["control"] == ""]
    score, name = next((c, n) for c, n in SCORES.items() if plain[c].notna().any())
    best = _best_in_training(plain, score).pivot_table(index="feature", columns="layer", values=score)
    console.print(layer_table(best, f"{study}: {name} on held-out groups of the probe that is best in training"))
    ways = _rankings(plain) + ", " + plain["basis"]
    if ways.nunique() > 1 or rows["control"].nunique() > 1:
        rows = rows.assign(way=rows["control"].where(rows["control"] != "", ways), up_to=_rounded_up(rows["k"]))
        console.print(_k_table(rows.pivot_table(index="up_to", columns="way", values=score), f"{study}: mean {name}"))


def _best_in_training(rows: pd.DataFrame, score: str) -> pd.DataFrame:
    """Return, for each feature, layer, fold and trial, the probe with the best training score, the smallest of them."""
    order = rows.sort_values([score.replace("test_", "train_"), "k"], ascending=[False, True], kind="stable")
    return order.drop_duplicates(["feature", "layer", "fold", "trial"])


def _rankings(rows: pd.DataFrame) -> pd.Series:
    """Name the ranking of each probe, and how many of it a search had to choose from."""
    rankings = rows["ranking"].replace("", "no ranking")
    n_candidates = rows["n_candidates"].where(rows["step"].isna() & (rows["ranking"] != "")).astype("Int64")
    return rankings.where(n_candidates.isna(), "best " + n_candidates.astype(str) + " by " + rankings)


def _rounded_up(k: pd.Series) -> pd.Series:
    """Round numbers of neurons up to powers of two where there are too many for a table."""
    return k if k.nunique() <= MOST_ROWS else 2 ** np.ceil(np.log2(k.clip(lower=1))).astype(int)


def _k_table(scores: pd.DataFrame, title: str) -> Table:
    """Lay out scores by k (down) and control, or ranking and basis (across)."""
    table = Table("neurons", *(escape(str(way)) for way in scores.columns), title=title)
    for k, values in scores.iterrows():
        table.add_row(str(k), *("" if pd.isna(v) else f"{v:.2f}" for v in values))
    return table


def _sweeps(rows: pd.DataFrame) -> bool:
    """Whether one ranking was swept over k in the basis of neurons, so that a line per layer says it all."""
    binary = rows["test_f1_score"].notna().any()
    return bool(binary and rows["k"].nunique() > 1 and rows["ranking"].nunique() == rows["basis"].nunique() == 1)


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
