"""Neurons ranked by how well each predicts a feature without others, as a table and as CSV."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from probing_datasets.foundation.atomic_files import write_bytes
from sparse_probing.runs.load_results import rows_of
from sparse_probing.runs.planning.run_record import Run

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
"""Kinds of probe that are the same fit when they have one neuron."""

Results = pd.DataFrame | Run | Path | str
"""Rows of results, a run, or the folder of a run."""


def ranked_neurons(results: Results) -> pd.DataFrame:
    """Rank the neurons of each feature by their F1 on training rows, over all layers.

    The order does not depend on test rows, so the test scores of the first neuron are unbiased.

    Parameters
    ----------
    results : pandas.DataFrame, Run or path
        Rows of `load_results`, or a run; probes of a single neuron are used.

    Returns
    -------
    pandas.DataFrame
        Columns `CSV_COLUMNS`; ``rank`` counts from 1 within a feature; ``control_f1_score`` is the test F1, by
        feature, of the neuron that has the best training F1 on shuffled labels, over all layers (NaN without
        that control).
    """
    rows = rows_of(results)
    # Probes of one neuron, each neuron once. Of a cross-validation the first fold is used: training rows of another
    # fold are test rows here, so an order by the mean over folds would depend on them.
    is_single = (rows["k"] == 1) & (rows["basis"] == "neurons") & rows["probe"].isin(SINGLE_NEURON_PROBES)
    single = rows[is_single & (rows["fold"] == 0)].copy()
    single["neuron"] = [support[0] for support in single["support"]]
    single["coef"] = [coef[0] for coef in single["coef"]]
    single = single.drop_duplicates(["feature", "layer", "neuron", "control"])
    shuffled = single[single["control"] == "shuffled_labels"]
    best_shuffled = shuffled.sort_values("train_f1_score", ascending=False, kind="stable").groupby("feature").first()
    table = single[single["control"] == ""].copy()
    table["hook_loc"] = table["hook_point"]
    table = table.join(best_shuffled["test_f1_score"].rename("control_f1_score"), on="feature")
    order = ["feature", "train_f1_score", "layer", "neuron"]
    table = table.sort_values(order, ascending=[True, False, True, True], kind="stable")
    table["rank"] = table.groupby("feature").cumcount() + 1
    return table[list(CSV_COLUMNS)].reset_index(drop=True)


def best_neurons(results: Results, by: tuple[str, ...] = ("feature",)) -> pd.DataFrame:
    """Return the first-ranked neuron of every feature (or of every feature and layer) of rows or a run."""
    return ranked_neurons(results).groupby(list(by), sort=True).head(1).reset_index(drop=True)


def f1_by_layer(results: Results) -> pd.DataFrame:
    """Return the test F1 of the first-ranked neuron of rows or a run: features in rows and layers in columns."""
    best = best_neurons(results, by=("feature", "layer"))
    return best.pivot_table(index="feature", columns="layer", values="test_f1_score")


def write_ranked_neurons(results: Results, path: Path, top: int = 0) -> pd.DataFrame:
    """Write the ranked neurons as CSV, the ``top`` best of each feature (0: all), atomically; return them."""
    table = ranked_neurons(results)
    table = table[table["rank"] <= top] if top else table
    write_bytes(path, table.to_csv(index=False, float_format="%.10g", lineterminator="\n").encode())
    return table
