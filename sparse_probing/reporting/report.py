"""The report at the end of a run: tables of the best probes, the CSV of ranked neurons and the figure."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from sparse_probing.neurons.ranked_neurons import best_neurons, f1_by_layer, why_not_found, write_ranked_neurons
from sparse_probing.probes.inference.below_chance import below_chance_warning
from sparse_probing.reporting.figures.f1_over_k import f1_over_k
from sparse_probing.reporting.figures.save_figure import save_figure
from sparse_probing.runs.load_results import rows_of
from sparse_probing.runs.planning.run_record import Run

MOST_ROWS = 20
"""Values of k in a table; more are rounded up to powers of two."""

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
        return []
    folder = results.path if folder is None and isinstance(results, Run) else folder
    n_studies = len(results.config.experiment_type) if isinstance(results, Run) else rows["study"].nunique()
    written: list[Path] = []
    neurons = best_neurons(rows)
    if not neurons.empty:
        if folder is not None:
            written.append(folder / "ranked_neurons.csv")
            write_ranked_neurons(rows, written[0])
        console.print(neuron_table(neurons))
        for remark in neuron_remarks(neurons):
            console.print(remark, markup=False, highlight=False)
        console.print(score_table(f1_by_layer(rows), "The same for each layer: F1 on held-out groups"))
    if (warning := below_chance_warning(rows)) is not None:
        console.print(warning, markup=False, highlight=False)
    for study, probes in shown_probes(rows).groupby("study", sort=False):
        for table in study_tables(probes, str(study)):
            console.print(table)
        # A line per layer shows everything when one ranking was swept over k in one basis.
        is_binary, ks = probes["test_f1_score"].notna().any(), probes["k"].nunique()
        is_sweep = is_binary and ks > 1 and probes["ranking"].nunique() == probes["basis"].nunique() == 1
        if is_sweep and folder is not None:
            written.append(folder / ("f1_over_k.png" if n_studies == 1 else f"f1_over_k.{study}.png"))
            save_figure(f1_over_k(probes), written[-1])
    for path in written:
        console.print(f"wrote {path}", soft_wrap=True, markup=False)
    return written


def shown_probes(results: pd.DataFrame) -> pd.DataFrame:
    """Return the probes except those for comparison: logistic refits of optimal supports, and ridges not chosen."""
    is_refit = results["proof_status"].notna() & results["loss"].isna()
    is_other_ridge = results["ridge_multiplier"].notna() & results["chosen"].isin([False])
    return results[~(is_refit | is_other_ridge)]


def study_tables(rows: pd.DataFrame, study: str) -> Iterable[Table]:
    """Yield the best held-out score of every feature and layer, and how rankings, bases and controls compare."""
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
        yield score_table(by_layer, f"{study}: {name} on held-out groups of the probe {which}")
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
    table = Table("neurons", *(escape(str(way)) for way in by_k.columns), title=title)
    for up_to, values in by_k.iterrows():
        shown = zip(values, errors.loc[up_to], strict=True)
        table.add_row(str(up_to), *("" if pd.isna(v) else f"{v:.2f}" + _plus_minus(e) for v, e in shown))
    yield table


def _plus_minus(error: float) -> str:
    return "" if pd.isna(error) else f" ± {error:.3f}"


def neuron_table(neurons: pd.DataFrame) -> Table:
    """Lay out the first-ranked neuron of each feature; where its test rows do not confirm it, none was found."""
    title = "The neuron that is best on training rows, scored on held-out groups"
    has_interval = neurons["test_roc_auc_low"].notna().any()
    table = Table(title=title)
    # A narrow terminal folds a cell over lines: digits that are cut off would be misread.
    for name in ("feature", "neuron"):
        table.add_column(name, no_wrap=name == "neuron", overflow="fold")
    for name in ["AUC", *(["interval"] if has_interval else []), "F1", "F1 yes", "F1 control", "as good", "n+"]:
        table.add_column(name, justify="right", no_wrap=name == "interval", overflow="fold")
    for _, row in neurons.iterrows():
        name = f"{'+' if row['coef'] > 0 else '-'}L{row['layer']}.{row['neuron']}" if row["found"] else "none found"
        interval = f"{row['test_roc_auc_low']:.2f}-{row['test_roc_auc_high']:.2f}"
        table.add_row(
            escape(row["feature"]),
            name,
            f"{row['test_roc_auc']:.3f}",
            *([interval] if has_interval else []),
            *(f"{row[score]:.3f}" for score in ("test_f1_score", "always_yes_f1_score", "control_f1_score")),
            f"{row['n_as_good']:,}",
            f"{row['n_positive_test']:,}",
        )
    return table


def neuron_remarks(neurons: pd.DataFrame) -> list[str]:
    """Say how to read the table of neurons, and of every feature without a neuron, why."""
    remarks = [
        "+ or -: the end of the neuron that means the feature. AUC: area under the ROC curve; F1 yes: of answering yes "
        "to every row; F1 control: what the same search finds with shuffled labels; as good: fitted neurons with at "
        "least this AUC; n+: positive held-out rows."
    ]
    for i, reason in why_not_found(neurons).items():
        if reason:
            row = neurons.loc[i]
            remarks.append(
                f"{row['feature']}: no neuron found. The best on training rows is L{row['layer']}.{row['neuron']}; "
                f"on held-out groups its {reason}."
            )
    return remarks


def score_table(scores: pd.DataFrame, title: str) -> Table:
    """Lay out scores by feature (rows) and layer (columns), with their mean."""
    table = Table("feature", *(f"layer {layer}" for layer in scores.columns), title=title)
    for feature, values in scores.iterrows():
        table.add_row(escape(str(feature)), *(f"{v:.3f}" for v in values))
    table.add_section()
    table.add_row("mean", *(f"{v:.3f}" for v in scores.mean()))
    return table
