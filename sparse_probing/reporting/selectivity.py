"""Selectivity: how much better the score of a probe is than that of the same probe on a control."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from sparse_probing.runs.load_results import rows_of
from sparse_probing.runs.planning.run_record import Run

KEYS = ["study", "feature", "layer", "basis", "trial", "fold", "ranking", "probe", "rank", "step", "k"]
KEYS += ["ridge_multiplier", "n_candidates"]
"""Columns that a probe and its control have in common. A single neuron is compared with the one of the same rank."""

CHANGED_BY = {"rotation": "basis", "random_neurons": "ranking"}
SOMETIMES = ("step", "ridge_multiplier", "n_candidates")
"""Keys that only some studies have."""
PATHS = ("l1_logistic", "lasso")


def selectivity(results: pd.DataFrame | Run | Path | str, score: str = "test_f1_score") -> pd.DataFrame:
    """Subtract the scores of the controls from those of the probes.

    Parameters
    ----------
    results : pandas.DataFrame, Run or path
        Rows of `load_results`, or a run.
    score : str
        The column that is compared.

    Returns
    -------
    pandas.DataFrame
        One row per probe and control: the columns `KEYS`, ``control``, ``score``, ``control_score``
        and ``selectivity``, their difference. A control in another basis, or of another ranking, is
        matched by the other keys. Probes of an L1 path have no counterpart and are omitted.

    References
    ----------
    Hewitt and Liang, Designing and Interpreting Probes with Control Tasks (EMNLP 2019).
    """
    probes = rows_of(results)
    probes = probes[~probes["probe"].isin(PATHS)].fillna(dict.fromkeys(SOMETIMES, -1))
    plain = probes[probes["control"] == ""].rename(columns={score: "score"})
    controls = probes[probes["control"] != ""].rename(columns={score: "control_score"})
    parts = []
    for control, rows in controls.groupby("control", sort=False):
        keys = [key for key in KEYS if key != CHANGED_BY.get(str(control))]
        both = plain[[*KEYS, "score"]].merge(rows[[*keys, "control", "control_score"]], on=keys, validate="many_to_one")
        parts.append(both)
    table = pd.concat(parts, ignore_index=True) if parts else plain[[*KEYS, "score"]].iloc[:0]
    if not parts:
        table = table.assign(control=[], control_score=[])
    return table.assign(selectivity=table["score"] - table["control_score"])
