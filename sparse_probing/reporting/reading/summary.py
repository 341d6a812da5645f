"""The summary of a run of reading probes, in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from probing_datasets.foundation.printable import printable
from probing_datasets.model_names import model_slug
from sparse_probing.config import ProbingConfig
from sparse_probing.config.result_folders import dataset_name
from sparse_probing.reporting.reading.chosen_layers import ReadFeature

NAMES = {
    "layer": "layer",
    "validation_log_loss": "validation loss",
    "validation_accuracy": "validation accuracy",
    "accuracy": "test accuracy",
    "test_roc_auc": "ROC-AUC",
    "test_step_error": "error in steps",
    "test_quadratic_kappa": "kappa",
    "test_confidence_error": "calibration error",
    "excess_over_optimum": "above the optimum",
    "shuffled_labels": "shuffled labels",
    "random_init": "random weights",
    "mass_mean": "class means",
    "lda": "linear discriminant",
}
"""Columns of the tables, in their order."""

LIMITS = """The accuracy of the chosen layer is that of a probe that validation rows chose among all layers, on
groups of texts that had no part in the choice. A score of the same height with shuffled labels would mean that the
search finds patterns in noise; with random weights, that the tokens are enough; from a bag of words, that no model is
needed. A probe shows that a property can be read from activations, not that the model uses it."""


def summary(config: ProbingConfig, feature: ReadFeature, further: pd.DataFrame, transferred: pd.DataFrame) -> str:
    """Return the section of one feature.

    Parameters
    ----------
    config : ProbingConfig
        Settings of the run.
    feature : ReadFeature
    further : pandas.DataFrame
        Text-only probes and those of several layers: scores by name.
    transferred : pandas.DataFrame
        Lines of `transfer`, empty without other data sets.
    """
    first, chosen = feature.probes.iloc[0], feature.chosen
    n_folds = feature.probes["fold"].nunique()
    by_layer = feature.by_layer()
    sections = [f"## {_text(feature.feature)}", _settings(config, feature), _choices(config, first, n_folds)]
    sections += ["### Layers", _scores(by_layer, feature.layer)]
    if len(further):
        sections += [
            "### Text only, and several layers",
            _scores(further.reset_index().rename(columns={"probe": "layer"})),
        ]
    accuracy = chosen["test_accuracy"].mean()
    low, high = chosen["test_accuracy_low"].mean(), chosen["test_accuracy_high"].mean()
    sections += [
        f"### The chosen layer, {feature.layer}",
        f"Accuracy {accuracy:.3f} ({low:.3f} to {high:.3f}) on {int(chosen['n_test'].sum()):,} test rows"
        + (f", the mean of {n_folds} folds." if n_folds > 1 else "."),
        " ".join(sorted({str(status) for status in chosen["status"]})),
        _confusion(feature),
        _reliability(feature),
    ]
    if len(transferred):
        of_chosen = transferred[(transferred["feature"] == feature.feature) & transferred["is_chosen"]]
        cells = [
            [
                r.test_dataset,
                r.score,
                r.label,
                f"{r.n:,}",
                _number(r.accuracy),
                "" if np.isnan(r.roc_auc) else f"{r.roc_auc:.3f} ({r.roc_auc_low:.3f} to {r.roc_auc_high:.3f})",
            ]
            for r in of_chosen.itertuples()
        ]
        header = ["data set", "score of", "label", "rows", "accuracy", "ROC-AUC"]
        sections += ["### On other data sets, by the chosen layer", _table(header, cells)]
    return "\n\n".join([*sections, "### What this shows", LIMITS]) + "\n"


def _settings(config: ProbingConfig, feature: ReadFeature) -> str:
    first = feature.probes.iloc[0]
    lines = {
        "model": model_slug(config.activations.model),
        "data set": dataset_name(config.activations),
        "hook point": f"{config.activations.probe_location}, aggregation {config.activations.activation_aggregation}",
        "classes": ", ".join(feature.class_names),
        "probe": f"{first['probe']}, scaling {first['scaling']}",
        "rows": f"{first['n_train']:,} training, {int(first['n_validation']):,} validation, {first['n_test']:,} test",
        "seed": config.activations.seed,
    }
    return "\n".join(f"- {name}: {_text(value)}" for name, value in lines.items())


def _choices(config: ProbingConfig, first: pd.Series, n_folds: int) -> str:
    """Say which rows chose what."""
    what = "C (lowest log loss after a temperature)"
    if config.reading.solver == "adam":
        what = "the epoch (highest accuracy)"
    given = config.fit.regularization is not None and config.reading.solver == "converged"
    chosen = (
        f"C is {first['regularization']:g} as set; validation rows chose" if given else f"Validation rows chose {what},"
    )
    folds = f" Each of {n_folds} folds was the test set once; tables have means over them." if n_folds > 1 else ""
    return (
        f"{chosen} the temperature and the layer (lowest log loss). Test rows chose nothing; no group is in two of the "
        f"three parts.{folds}"
    )


def _scores(table: pd.DataFrame, chosen_layer: int | None = None) -> str:
    """Return a table of scores by layer or by probe; the chosen layer is bold."""
    intervals = [
        f"{r['test_accuracy']:.3f} ({r['test_accuracy_low']:.3f} to {r['test_accuracy_high']:.3f})"
        for _, r in table.iterrows()
    ]
    table = table.assign(accuracy=intervals)
    shown = [name for name in NAMES if name in table and table[name].notna().any()]
    cells = []
    for _, row in table.iterrows():
        cells.append([row[n] if n == "accuracy" else str(row[n]) if n == "layer" else _number(row[n]) for n in shown])
        if chosen_layer is not None:
            cells[-1][0] = str(int(row["layer"]))
            if row["layer"] == chosen_layer:
                cells[-1] = [f"**{cell}**" for cell in cells[-1]]
    header = [NAMES[name] for name in shown]
    if chosen_layer is None:
        header[0] = "probe"
    return _table(header, cells)


def _confusion(feature: ReadFeature) -> str:
    confusion, names = feature.confusion, feature.class_names
    hits, true, predicted = np.diagonal(confusion), confusion.sum(axis=1), confusion.sum(axis=0)
    cells = []
    for k, name in enumerate(names):
        precision = hits[k] / predicted[k] if predicted[k] else 0.0
        recall = hits[k] / true[k] if true[k] else 0.0
        f1 = 2 * hits[k] / (true[k] + predicted[k]) if true[k] + predicted[k] else 0.0
        cells.append([name, *(f"{count}" for count in confusion[k]), *map(_number, (precision, recall, f1))])
    header = ["true class", *(f"as {name}" for name in names), "precision", "recall", "F1"]
    return _table(header, cells)


def _reliability(feature: ReadFeature) -> str:
    lines = []
    before, after = (feature.reliability(f"test_reliability{time}") for time in ("_before", ""))
    for i in range(before.shape[1]):
        cells = [f"{i / before.shape[1]:.2f} to {(i + 1) / before.shape[1]:.2f}"]
        for n, confidence, right in (before[:, i], after[:, i]):
            cells += [f"{int(n)}", _number(confidence / n), _number(right / n)] if n else ["0", "", ""]
        if before[0, i] or after[0, i]:
            lines.append(cells)
    chosen = feature.chosen
    header = ["confidence", *(f"{name} {time}" for time in ("before", "after") for name in ("rows", "mean", "right"))]
    temperatures = ", ".join(f"{value:.3g}" for value in chosen["temperature"])
    errors = chosen[["test_confidence_error_before", "test_confidence_error"]].mean()
    return (
        f"Calibration error of the predicted class: {errors.iloc[0]:.3f} as the sigmoid of its score, "
        f"{errors.iloc[1]:.3f} after the temperature ({temperatures}).\n\n{_table(header, lines)}"
    )


def _table(header: Sequence[str], lines: Iterable[Sequence[object]]) -> str:
    """Return a table in Markdown; names from files cannot break it."""
    rows = [[_text(cell) for cell in line] for line in (header, *lines)]
    rows.insert(1, ["---"] * len(header))
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _text(value: object) -> str:
    """Return what is printed of a name: no control characters, no cell or line ends, no HTML."""
    text = printable(str(value)).replace("|", "\\|").replace("<", "&lt;")
    return " ".join(text.split())


def _number(value: float) -> str:
    return "" if value is None or np.isnan(value) else f"{value:.3f}"
