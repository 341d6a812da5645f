"""Choose one probe among the rows of a run, and return it as one that can be saved and applied to texts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from probing_datasets.foundation.errors import ProbeError, list_known
from probing_datasets.foundation.files.sealed_json import read_sealed
from sparse_probing.runs.planning.run_record import RUN_RECORD, Run, RunRecord
from sparse_probing.saved_probes.from_run import probe_from_row

if TYPE_CHECKING:
    import pandas as pd

    from sparse_probing.saved_probes.saved_probe import SavedProbe

TRAINING_SCORES = ("train_f1_score", "train_macro_f1_score", "train_r2")
"""By which a probe is chosen where validation chose none: of two classes, of several, of numbers."""

SAME_PROBE = ("study", "feature", "layer", "k", "probe", "ranking", "rank", "fold")
"""Columns that a probe and its controls share."""


def probe_of_run(
    run: Run,
    rows: pd.DataFrame,
    feature: str,
    layer: int,
    k: int | None = None,
    study: str | None = None,
    probe: str | None = None,
    neuron: int | None = None,
    fold: int | None = None,
) -> SavedProbe:
    """Return a probe of one feature and layer.

    Parameters
    ----------
    run : Run
    rows : pandas.DataFrame
        Its results, with all columns.
    feature : str
        Of a multiclass feature, ``feature=class`` where the study fits binary probes.
    layer : int
    k : int, optional
        Number of neurons. Default: the probe that validation chose, where the study chooses one; otherwise the one
        with the best F1, macro F1 or R2 on training rows.
    study : str, optional
        Experiment type, where the run has several.
    probe : str, optional
        Kind of probe, where a study fits several: ``optimal_hinge`` or its refit ``logistic``, ``multinomial`` or
        ``one_vs_rest``.
    neuron : int, optional
        The probe of this single neuron.
    fold : int, optional
        Number of the test fold, from 0, where the run has ``--test_folds``: the probe was fitted to the rows outside
        it. Default: the first.

    Raises
    ------
    ProbeError
        When no such probe exists, with the names of those that do, or when it cannot be applied to texts.
    """
    if run.config.activations.probe_next_token_feature:
        raise ProbeError("Probes of the next token's feature cannot be applied to texts yet.")
    row, controls = choose_row(rows, feature, layer, k, study, probe, neuron, fold)
    versions = read_sealed(run.path / RUN_RECORD, RunRecord).versions
    return probe_from_row(run.config, row, controls, versions)


def choose_row(
    rows: pd.DataFrame,
    feature: str,
    layer: int,
    k: int | None = None,
    study: str | None = None,
    probe: str | None = None,
    neuron: int | None = None,
    fold: int | None = None,
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return the row of one probe, and those of the same probe with each control.

    Arguments and errors are those of `probe_of_run`.
    """
    is_linear = rows["intercept"].notna() | rows["class_intercepts"].notna()
    matching = rows[(rows["control"] == "") & (rows["basis"] == "neurons") & is_linear]
    if matching.empty:
        raise ProbeError(
            "This study fits no probes of neurons: its probes read random directions, which no text has. "
            "Save a probe of a study without rotation or projection."
        )
    wanted = {"study": study, "feature": feature, "layer": layer, "probe": probe, "k": k, "fold": fold}
    for column, value in wanted.items():
        if value is not None:
            known = sorted(matching[column].unique().tolist())
            matching = matching[matching[column] == value]
            if matching.empty:
                raise ProbeError(
                    f"No probe has {column} {value!r}. There are: {list_known(str(value), map(str, known))}."
                )
    if neuron is not None:
        matching = matching[[list(support) == [neuron] for support in matching["support"]]]
        if matching.empty:
            raise ProbeError(f"No probe of {feature!r} at layer {layer} is of the single neuron {neuron}.")
    matching = matching[matching["fold"] == matching["fold"].min()]
    if matching["chosen"].isin([True]).any():
        matching = matching[matching["chosen"].isin([True])]
    row = _best(matching)
    controls = rows[rows["control"] != ""]
    for column in SAME_PROBE:
        controls = controls[controls[column] == row[column]]
    return row, [_best(of_control) for _, of_control in controls.groupby("control", sort=True)]


def _best(rows: pd.DataFrame) -> dict[str, Any]:
    """Return the row with the best score on training rows; of equal ones the first."""
    score = next((name for name in TRAINING_SCORES if rows[name].notna().any()), TRAINING_SCORES[0])
    return rows.sort_values(score, ascending=False, kind="stable").iloc[0].to_dict()
