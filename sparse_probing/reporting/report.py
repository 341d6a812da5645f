"""The report at the end of a run: tables of the best probes, the CSV of ranked neurons and the figure."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from rich.console import Console
from rich.text import Text

from probing_datasets.foundation.console import Column, fit_table
from probing_datasets.foundation.printable import printable
from sparse_probing.neurons.ranked_neurons import best_neurons, why_not_found, write_ranked_neurons
from sparse_probing.probes.inference.below_chance import below_chance_warning
from sparse_probing.reporting.figures.f1_over_k import MOST_PANELS, f1_over_k
from sparse_probing.reporting.figures.save_figure import save_figure
from sparse_probing.runs.load_results import rows_of
from sparse_probing.runs.planning.run_record import Run

MOST_ROWS = 20
"""Values of k in a table; more are rounded up to powers of two."""

TITLE_OF_NEURONS = "The neuron that is best on training rows, scored on held-out groups"

SCORES = {"test_f1_score": "F1", "test_macro_f1_score": "macro F1", "test_r2": "R2"}
"""The score that is shown, by the column that a kind of feature fills."""


def report(results: pd.DataFrame | Run, console: Console, folder: Path | None = None) -> list[Path]:
    """Print the best scores of results; write their ranked neurons and figures into a folder.

    Parameters
    ----------
    results : pandas.DataFrame or Run
        Rows of `load_results`, or a run.
    console : rich.console.Console
        Where the tables are printed.
    folder : Path, optional
        Default: the folder of the run. For rows without a folder nothing is written.

    Returns
    -------
    list of Path
        The files that were written.
    """
    rows = rows_of(results)
    if rows.empty:
        _print_line(console, "No feature was probed: there is nothing to report.")
        return []
    folder = results.path if folder is None and isinstance(results, Run) else folder
    n_studies = len(results.config.experiment_type) if isinstance(results, Run) else rows["study"].nunique()
    neurons, shown = best_neurons(rows), shown_probes(rows).groupby("study", sort=False)
    written: list[str] = []
    notes: list[str] = []
    if folder is not None:  # before anything is printed: a pipe may close
        if not neurons.empty:
            write_ranked_neurons(rows, folder / "ranked_neurons.csv")
            written.append("ranked_neurons.csv")
        reading = rows[rows["study"] == "reading_probes"]
        if isinstance(results, Run) and len(reading):
            from sparse_probing.reporting.reading.run_files import write_reading_files  # here: other studies need none

            names, sentences = write_reading_files(results, reading)
            written += names
            notes += sentences
        for study, probes in shown:
            # A line per layer shows everything when one ranking was swept over k in one basis.
            is_binary, ks = probes["test_f1_score"].notna().any(), probes["k"].nunique()
            if not (is_binary and ks > 1 and probes["ranking"].nunique() == probes["basis"].nunique() == 1):
                continue
            name = "f1_over_k.png" if n_studies == 1 else f"f1_over_k.{study}.png"
            save_figure(f1_over_k(probes), folder / name)
            written.append(name)
            if (n_features := probes["feature"].nunique()) > MOST_PANELS:
                notes.append(
                    f"{name} has the {MOST_PANELS} of {n_features:,} features with the largest F1; "
                    "f1_over_k(run, page=2) of sparse_probing.reporting.figures.f1_over_k draws the next."
                )
    if not neurons.empty:
        print_neurons(neurons, console)
    if (warning := below_chance_warning(rows)) is not None:
        _print_line(console, warning)
    for study, probes in shown:
        print_study(probes, str(study), console)
    for note in notes:
        _print_line(console, note)
    paths = [] if folder is None else [folder / name for name in written]
    for path in paths:
        _print_line(console, f"wrote {path}")
    return paths


def shown_probes(results: pd.DataFrame) -> pd.DataFrame:
    """Return the probes except those for comparison: logistic refits of optimal supports, and ridges not chosen."""
    is_refit = results["proof_status"].notna() & results["loss"].isna()
    is_other_ridge = results["ridge_multiplier"].notna() & results["chosen"].isin([False])
    return results[~(is_refit | is_other_ridge)]


def print_neurons(neurons: pd.DataFrame, console: Console) -> None:
    """Print the first-ranked neuron of each feature, how to read the table, and why others were not found.

    Parameters
    ----------
    neurons : pandas.DataFrame
        Rows of `best_neurons`.
    console : rich.console.Console
    """
    signs = np.where(neurons["coef"] > 0, "+", "-")
    names = [f"{sign}L{n.layer}.{n.neuron}" for sign, n in zip(signs, neurons.itertuples(), strict=True)]
    intervals = [f"{n.test_roc_auc_low:.2f}-{n.test_roc_auc_high:.2f}" for n in neurons.itertuples()]
    columns = [
        Column("feature", list(neurons["feature"]), is_text=True),
        Column("neuron", np.where(neurons["found"], names, "none found").tolist(), is_text=True),
        Column("F1", [f"{value:.3f}" for value in neurons["test_f1_score"]]),
        Column("F1 yes", [f"{value:.3f}" for value in neurons["always_yes_f1_score"]], drop_order=4),
        Column("F1 control", [f"{value:.3f}" for value in neurons["control_f1_score"]], drop_order=6),
        Column("AUC", [f"{value:.3f}" for value in neurons["test_roc_auc"]], drop_order=7),
        Column("interval", intervals, drop_order=5),
        Column("p", [f"{value:.0e}" for value in neurons["p_value_corrected"]], drop_order=1),
        Column("as good", [f"{value:,}" for value in neurons["n_as_good"]], drop_order=3),
        Column("n+/n", [f"{n.n_positive_test}/{n.n_test}" for n in neurons.itertuples()], drop_order=2),
    ]
    # Only all_neurons corrects its p-values, few groups give no interval, and the control may not be fitted.
    optional = {"interval": "test_roc_auc_low", "p": "p_value_corrected", "F1 control": "control_f1_score"}
    columns = [each for each in columns if each.name not in optional or neurons[optional[each.name]].notna().any()]
    table, omitted = fit_table(columns, console.width, TITLE_OF_NEURONS)
    console.print(table)
    meanings = {
        "F1 yes": "of answering yes to every row",
        "F1 control": "what the same search finds with shuffled labels",
        "AUC": "area under the ROC curve",
        "p": "of the AUC against 1/2, corrected over the neurons of the layer",
        "as good": "fitted neurons with at least this AUC, this one included",
        "n+/n": "positive and all held-out rows",
    }
    shown = {column.name for column in columns} - set(omitted)
    explained = [f"{name}: {meaning}" for name, meaning in meanings.items() if name in shown]
    _print_line(console, "; ".join(["+ or -: the end of the neuron that means the feature", *explained]) + ".")
    if omitted:
        _print_line(console, left_out("columns", ", ".join(omitted)))
    for i, reason in why_not_found(neurons).items():
        if reason:
            row = neurons.loc[i]
            _print_line(
                console,
                f"{row['feature']}: no neuron found. The best on training rows is L{row['layer']}.{row['neuron']}; "
                f"on held-out groups its {reason}.",
            )


def print_study(rows: pd.DataFrame, study: str, console: Console) -> None:
    """Print the best held-out score of every feature and layer, and how rankings, bases and controls compare.

    Parameters
    ----------
    rows : pandas.DataFrame
        Rows of `load_results`, of one study.
    study : str
    console : rich.console.Console
    """
    plain = rows[rows["control"] == ""]
    score, name = next((column, name) for column, name in SCORES.items() if plain[column].notna().any())
    # Of each feature, layer, fold and trial the probe that is best in training, of equal ones the smallest; of a path
    # the one that validation chose.
    order = plain[~plain["chosen"].isin([False])].sort_values(
        [score.replace("test_", "train_"), "k"], ascending=[False, True], kind="stable"
    )
    best = order.drop_duplicates(["feature", "layer", "fold", "trial"])
    by_layer = best.pivot_table(index="feature", columns="layer", values=score)
    which = "that validation chose" if plain["chosen"].notna().any() else "that is best in training"
    # Single neurons have a table already, in the order of ranked neurons.
    if plain["k"].max() > 1 or (plain["basis"] != "neurons").any():
        print_scores(by_layer, f"{study}: {name} on held-out groups of the probe {which}", console)
    # Each way to choose neurons: the ranking, with the number of candidates of a search, and the basis.
    rankings = plain["ranking"].replace("", "no ranking")
    n_candidates = plain["n_candidates"].where(plain["step"].isna() & (plain["ranking"] != "")).astype("Int64")
    ways = rankings.where(n_candidates.isna(), "best " + n_candidates.astype(str) + " by " + rankings)
    ways = ways + ", " + plain["basis"]
    if ways.nunique() == 1 and rows["control"].nunique() == 1 and rows["trial"].nunique() == 1:
        return
    k = rows["k"]
    if k.nunique() > MOST_ROWS:
        k = 2 ** np.ceil(np.log2(k.clip(lower=1))).astype(int)
    compared = rows.assign(way=rows["control"].where(rows["control"] != "", ways), up_to=k)
    by_k = compared.pivot_table(index="up_to", columns="way", values=score)
    # Random bases are drawn several times: the standard error of the mean over the draws.
    errors = compared.pivot_table(index=["up_to", "trial"], columns="way", values=score).groupby("up_to").sem()
    title = f"{study}: mean {name}" + (" ± standard error over random bases" if errors.notna().any(axis=None) else "")
    columns = [Column("neurons", list(by_k.index))]
    for way, values in by_k.items():
        cells = ["" if pd.isna(v) else f"{v:.2f}" for v in values]
        cells = [v + ("" if pd.isna(e) else f" ± {e:.3f}") for v, e in zip(cells, errors[way], strict=True)]
        columns.append(Column(str(way), cells, drop_order=float(values.mean())))
    table, omitted = fit_table(columns, console.width, title)
    console.print(table)
    if omitted:
        _print_line(console, left_out("columns with the lowest mean", "; ".join(omitted)))


def print_scores(scores: pd.DataFrame, title: str, console: Console) -> None:
    """Print scores by feature (rows) and layer (columns), with their mean; where there is no room the best layers."""
    mean = scores.mean()
    columns = [Column("feature", [*scores.index, "mean"], is_text=True)]
    for layer, values in scores.items():
        cells = ["" if pd.isna(value) else f"{value:.3f}" for value in (*values, mean[layer])]
        columns.append(Column(f"layer {layer}", cells, drop_order=mean[layer]))
    table, omitted = fit_table(columns, console.width, title, n_summary_rows=1)
    console.print(table)
    if omitted:
        _print_line(console, left_out(f"{len(omitted)} of {len(mean)} layers", "those with the lowest mean"))


def left_out(what: str, which: str) -> str:
    """Return the sentence under a table of which columns are left out."""
    return f"Left out, because the terminal is too narrow: {what} ({which}). A wider terminal or a pipe has all."


def _print_line(console: Console, text: str) -> None:
    console.print(Text(printable(text)), soft_wrap=True)
