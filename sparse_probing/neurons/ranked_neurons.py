"""Neurons ranked by how well they predict a feature alone, as a table and as CSV."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from probing_datasets.foundation.atomic_files import write_bytes

CSV_COLUMNS = (
    "model",
    "dataset",
    "feature",
    "layer",
    "aggregation",
    "hook_loc",
    "neuron",
    "test_mcc",
    "test_f1_score",
    "test_precision",
    "test_recall",
    "coef",
    "rank",
    "revision",
    "random_init",
    "test_roc_auc",
    "test_roc_auc_low",
    "test_roc_auc_high",
    "p_value_corrected",
    "train_f1_score",
    "control_f1_score",
    "n_train",
    "n_test",
    "n_positive_test",
    "study",
)
"""Columns of a ranked-neuron CSV, the paper's first; ``interpretable_neurons/SCHEMA.md`` defines them."""

SINGLE_NEURON_PROBES = ("single_neuron_logistic", "logistic")
"""Kinds of probe that, of one neuron, are the same fit."""


def ranked_neurons(results: pd.DataFrame) -> pd.DataFrame:
    """Rank the neurons of each feature by their F1 on training rows, over all layers.

    The order never looks at test rows, so the test figures of the first neuron are honest.

    Parameters
    ----------
    results : pandas.DataFrame
        Rows of `load_results`; probes of a single neuron are used.

    Returns
    -------
    pandas.DataFrame
        Columns `CSV_COLUMNS`; ``rank`` counts from 1 within a feature; ``control_f1_score`` is
        what the same search finds on shuffled labels (NaN when there was no such control).
    """
    single = _single_neurons(results)
    table = single[single["control"] == ""].copy()
    table["hook_loc"] = table["hook_point"]
    table = table.join(_control_f1(single), on="feature")
    order = ["feature", "train_f1_score", "layer", "neuron"]
    table = table.sort_values(order, ascending=[True, False, True, True], kind="stable")
    table["rank"] = table.groupby("feature").cumcount() + 1
    return table[list(CSV_COLUMNS)].reset_index(drop=True)


def _single_neurons(results: pd.DataFrame) -> pd.DataFrame:
    """Return the probes of one neuron, each neuron once, with its number and coefficient.

    Of a cross-validation it is the first fold: another fold's training rows are test rows here, so
    that an order by the mean over folds would have looked at them.
    """
    alone = (results["k"] == 1) & (results["basis"] == "neurons") & results["probe"].isin(SINGLE_NEURON_PROBES)
    rows = results[alone & (results["fold"] == 0)].copy()
    rows["neuron"] = [support[0] for support in rows["support"]]
    rows["coef"] = [coef[0] for coef in rows["coef"]]
    return rows.drop_duplicates(["feature", "layer", "neuron", "control"])


def _control_f1(single: pd.DataFrame) -> pd.Series:
    """Test F1, by feature, of the neuron with the best training F1 on shuffled labels, over all layers."""
    shuffled = single[single["control"] == "shuffled_labels"]
    best = shuffled.sort_values("train_f1_score", ascending=False, kind="stable").groupby("feature").first()
    return best["test_f1_score"].rename("control_f1_score")


def best_neurons(results: pd.DataFrame, by: tuple[str, ...] = ("feature",)) -> pd.DataFrame:
    """Return the first-ranked neuron of every feature (or of every feature and layer)."""
    return ranked_neurons(results).groupby(list(by), sort=True).head(1).reset_index(drop=True)


def f1_by_layer(results: pd.DataFrame) -> pd.DataFrame:
    """Return the test F1 of the first-ranked neuron, features down and layers across."""
    best = best_neurons(results, by=("feature", "layer"))
    return best.pivot_table(index="feature", columns="layer", values="test_f1_score")


def write_ranked_neurons(results: pd.DataFrame, path: Path, top: int = 0) -> pd.DataFrame:
    """Write the ranked neurons as CSV, the ``top`` best of each feature (0: all), atomically; return them."""
    table = ranked_neurons(results)
    table = table[table["rank"] <= top] if top else table
    write_bytes(path, table.to_csv(index=False, float_format="%.10g", lineterminator="\n").encode())
    return table
