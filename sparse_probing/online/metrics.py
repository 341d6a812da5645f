"""The metrics frame: one row for every place, pooling and label set, from the result rows."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

from sparse_probing.online.learners.averaged_adamw import STOPPED
from sparse_probing.online.places import Place
from sparse_probing.online.prepare import DEFAULT_STUDIES
from sparse_probing.probes.convergence import CONVERGED

if TYPE_CHECKING:
    import pandas as pd

MEASURES = {
    "loss": ("test_log_loss", "test_mean_squared_error"),
    "accuracy": ("test_accuracy",),
    "precision": ("test_precision", "test_macro_precision"),
    "recall": ("test_recall", "test_macro_recall"),
    "f1": ("test_f1_score", "test_macro_f1_score"),
    "matthews": ("test_mcc",),
    "roc_auc": ("test_roc_auc",),
    "r2": ("test_r2",),
}
"""Where each measure is in the result rows: of binary label sets, or of others; of several classes the mean over them,
and the loss of numbers is the mean squared error."""

CONTROLLED = ("accuracy", "roc_auc", "r2")
"""Measures that are also given for the same probe with the labels of groups shuffled."""

COLUMNS = ("place", "hook_point", "layer", "pooling", "label_set")

FURTHER = ("test_roc_auc_low", "test_roc_auc_high", "n_train", "n_test", "regularization", "converged", "status")


def with_places(rows: pd.DataFrame, places: Iterable[Place]) -> pd.DataFrame:
    """Return result rows with the column ``place``: the name of the hook point of a layer, or of a submodule."""
    names = {(each.location.hook_point, each.location.layer): each.location.name for each in places}
    return rows.assign(place=[names[each] for each in zip(rows["hook_point"], rows["layer"], strict=True)])


def probe_rows(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the one probe of all neurons of every place, label set and fold, and of its controls."""
    is_default = rows["study"].isin(list(DEFAULT_STUDIES.values())) | rows["study"].str.startswith("online_")
    is_default &= rows["probe"] != "one_vs_rest"
    widest = rows["k"] == rows.groupby(["place", "aggregation"])["k"].transform("max")
    return rows[is_default & widest]


def metrics_frame(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the measures on test rows of every probe of all neurons.

    Parameters
    ----------
    rows : pandas.DataFrame
        Result rows with all columns, and the column ``place``.

    Returns
    -------
    pandas.DataFrame
        With the columns ``place``, ``hook_point``, ``layer``, ``pooling`` and ``label_set``, those of `MEASURES`, the
        same of the control with shuffled labels, and how the fit ended.
    """
    of_probes = probe_rows(rows).rename(columns={"aggregation": "pooling", "feature": "label_set"})
    for name, sources in MEASURES.items():
        values = of_probes[sources[0]]
        for source in sources[1:]:
            values = values.where(values.notna(), of_probes[source])
        of_probes[name] = values
    of_probes["converged"] = of_probes["converged"].fillna(value=False).astype(bool)
    # In a cross-validation every row is a test row once: measures are means over folds, which have no interval. The
    # status is that of a fold that did not converge, if there is one.
    keys = ["place", "pooling", "label_set", "control"]
    of_folds = of_probes.groupby(keys)
    is_mean = of_folds["fold"].transform("size") > 1
    of_probes[list(MEASURES)] = of_folds[list(MEASURES)].transform("mean")
    of_probes["n_test"] = of_folds["n_test"].transform("sum")
    of_probes.loc[is_mean, ["test_roc_auc_low", "test_roc_auc_high"]] = math.nan
    of_probes = of_probes.sort_values("converged", kind="stable").drop_duplicates(keys)
    frame = of_probes[of_probes["control"] == ""]
    shuffled = of_probes[of_probes["control"] == "shuffled_labels"]
    names = {name: f"shuffled_{name}" for name in CONTROLLED}
    frame = frame.merge(shuffled[[*keys[:-1], *CONTROLLED]].rename(columns=names), "left", on=keys[:-1])
    exact = frame["status"].str.replace(CONVERGED, "Exact.", n=1, regex=False)
    says_so = frame["status"].str.startswith(STOPPED)
    frame["status"] = exact.where(frame["converged"] | says_so, f"{STOPPED} " + frame["status"])
    columns = [*COLUMNS, *MEASURES, *names.values(), *FURTHER]
    return frame[columns].sort_values(["label_set", "pooling", "layer"], kind="stable").reset_index(drop=True)


def ranges_over_layers(metrics: pd.DataFrame) -> pd.DataFrame:
    """Return the lowest and highest measures over layers, as text, of every label set, hook point and pooling.

    Parameters
    ----------
    metrics : pandas.DataFrame
        As from `metrics_frame`.
    """
    names = [name for name in ("accuracy", "roc_auc", "r2", "shuffled_accuracy") if metrics[name].notna().any()]
    keys = ["label_set", "hook_point", "pooling"]
    of_each = metrics.groupby(keys, sort=False)
    frame = of_each.agg(layers=("layer", "nunique"), n_test=("n_test", "max"))
    for name in names:
        low, high = of_each[name].min(), of_each[name].max()
        frame[name] = ["" if math.isnan(a) else f"{a:.3f} to {b:.3f}" for a, b in zip(low, high, strict=True)]
    return frame.reset_index()
