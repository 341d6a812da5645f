"""Neurons ranked by how well each predicts a feature without others, as a table and as CSV."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from probing_datasets.foundation.errors import ProbeError
from probing_datasets.foundation.files.atomic_files import write_bytes
from probing_datasets.foundation.spreadsheet_cells import csv_bytes
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
    "p_value_max_statistic",
    "found",
    "always_yes_f1_score",
    "control_roc_auc",
    "control_f1_score",
    "n_as_good",
    "train_roc_auc",
    "train_mean_difference",
    "train_f1_score",
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
    """Rank the neurons of each feature by their training rows, over all layers, and judge each on its test rows.

    The order is that of the ROC-AUC on training rows; of neurons with the same area, that of the difference of the
    class means in standard deviations, then the lower layer and neuron. Neither depends on the scale of a layer, so
    neurons of different layers compare. The order does not depend on test rows, so the test scores of the first neuron
    are unbiased. ``benchmarks/best_neuron_order.py`` compares it with others.

    Parameters
    ----------
    results : pandas.DataFrame, Run or path
        Rows of `load_results`, or a run; probes of a single neuron are used.

    Returns
    -------
    pandas.DataFrame
        Columns `CSV_COLUMNS`; ``interpretable_neurons/SCHEMA.md`` defines them. ``rank`` counts from 1 within a
        feature. ``control_roc_auc`` and ``control_f1_score`` are the test scores, by feature, of the neuron that the
        same search, over all layers, puts first on shuffled labels (NaN without that control). ``n_as_good`` counts
        the neurons of the feature whose test ROC-AUC is at least as high, itself included. ``found`` is whether
        :func:`why_not_found` has no objection.

    Raises
    ------
    ProbeError
        When rows of single neurons have no training ROC-AUC: an older version wrote them.
    """
    rows = rows_of(results)
    # Probes of one neuron, each neuron once. Of a cross-validation the first fold is used: training rows of another
    # fold are test rows here, so an order by the mean over folds would depend on them.
    is_single = (rows["k"] == 1) & (rows["basis"] == "neurons") & rows["probe"].isin(SINGLE_NEURON_PROBES)
    single = rows[is_single & (rows["fold"] == 0)].copy()
    if single["train_roc_auc"].isna().any():
        raise ProbeError(
            "Rows of single neurons have no train_roc_auc, which decides their order: an older version wrote them. "
            "Run the study again."
        )
    single["neuron"] = [support[0] for support in single["support"]]
    single["coef"] = [coef[0] for coef in single["coef"]]
    # Of a neuron that two studies fitted, the row with the most is kept: only all_neurons corrects its p-values.
    single = single.sort_values("p_value_corrected", na_position="last", key=pd.isna, kind="stable")
    single = single.drop_duplicates(["feature", "layer", "neuron", "control"])
    # Areas of the same order of rows can differ in the last digit.
    single["rounded_area"] = single["train_roc_auc"].round(9)
    order = ["feature", "rounded_area", "train_mean_difference", "layer", "neuron"]
    single = single.sort_values(order, ascending=[True, False, False, True, True], kind="stable")
    best_shuffled = single[single["control"] == "shuffled_labels"].groupby("feature").first()
    table = single[single["control"] == ""].copy()
    table["hook_loc"] = table["hook_point"]
    for score in ("roc_auc", "f1_score"):
        table = table.join(best_shuffled[f"test_{score}"].rename(f"control_{score}"), on="feature")
    positives = table["n_positive_test"] / table["n_test"]
    table["always_yes_f1_score"] = 2 * positives / (1 + positives)
    table["rank"] = table.groupby("feature").cumcount() + 1
    table["n_as_good"] = table["test_roc_auc"].round(9).groupby(table["feature"]).rank(method="max", ascending=False)
    table["n_as_good"] = table["n_as_good"].astype("Int64")
    table["found"] = True
    for applies, _ in _objections(table):
        table["found"] &= ~applies
    return table[list(CSV_COLUMNS)].reset_index(drop=True)


def why_not_found(table: pd.DataFrame) -> pd.Series:
    """Return, for every row of ranked neurons, why it is not evidence that the neuron encodes the feature; else "".

    A neuron must do better on test rows than chance (its ROC-AUC must have an interval that excludes .5), than always
    answering yes, and than what the same search finds on shuffled labels (where that control was fitted).

    Parameters
    ----------
    table : pandas.DataFrame
        With the columns ``test_roc_auc``, ``test_roc_auc_low``, ``test_f1_score``, ``always_yes_f1_score``,
        ``control_roc_auc`` and ``control_f1_score``; the control may be missing.
    """
    reasons = pd.Series("", index=table.index)
    for applies, sentence in _objections(table):
        for row in table.index[applies & (reasons == "")]:
            reasons[row] = sentence.format(**table.loc[row].to_dict())
    return reasons


def _objections(table: pd.DataFrame) -> list[tuple[pd.Series, str]]:
    """Return, for every reason, which rows it applies to, and the sentence that says so."""
    optional = ("test_roc_auc_low", "control_roc_auc", "control_f1_score")
    table = table.reindex(columns=[*table.columns, *(name for name in optional if name not in table.columns)])
    f1, area = table["test_f1_score"], table["test_roc_auc"]
    return [
        (~(area > 0.5), "ROC-AUC {test_roc_auc:.3f} is not above chance"),
        (
            table["test_roc_auc_low"].isna(),
            "ROC-AUC {test_roc_auc:.3f} has no interval: there are too few groups to tell",
        ),
        (
            table["test_roc_auc_low"] <= 0.5,
            "ROC-AUC {test_roc_auc:.3f} has an interval that begins at {test_roc_auc_low:.3f}",
        ),
        (
            ~(f1 > table["always_yes_f1_score"]),
            "F1 {test_f1_score:.3f} is not above that of always answering yes, {always_yes_f1_score:.3f}",
        ),
        (
            area <= table["control_roc_auc"],
            "ROC-AUC {test_roc_auc:.3f} is not above {control_roc_auc:.3f}, found with shuffled labels",
        ),
        (
            f1 <= table["control_f1_score"],
            "F1 {test_f1_score:.3f} is not above {control_f1_score:.3f}, found with shuffled labels",
        ),
    ]


def best_neurons(results: Results, by: tuple[str, ...] = ("feature",)) -> pd.DataFrame:
    """Return the first-ranked neuron of every feature (or of every feature and layer) of rows or a run.

    Look at ``found``: where it is false, the test rows do not confirm the best neuron on training rows.
    """
    return ranked_neurons(results).groupby(list(by), sort=True).head(1).reset_index(drop=True)


def write_ranked_neurons(results: Results, path: Path, top: int = 0) -> pd.DataFrame:
    """Write the ranked neurons as CSV, the ``top`` best of each feature (0: all), atomically; return them."""
    table = ranked_neurons(results)
    table = table[table["rank"] <= top] if top else table
    write_bytes(path, ranked_neurons_csv(table))
    return table


def ranked_neurons_csv(table: pd.DataFrame) -> bytes:
    """Return ranked neurons as CSV; `sparse_probing.neurons.load.load_neurons` reads it."""
    return csv_bytes(table, "%.10g")
