"""The summary of a run of reading probes, in Markdown."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

import numpy as np
import pandas as pd

from probing_datasets.foundation.printable import printable
from probing_datasets.model_names import model_slug
from sparse_probing.config import ProbingConfig
from sparse_probing.config.result_folders import dataset_name
from sparse_probing.reporting.reading.chosen_layers import ReadFeature
from sparse_probing.reporting.reading.monitor_lines import monitor_lines

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
    sections = [f"## {_text(feature.feature)}", _settings(config, feature), _choices(config, first, feature)]
    sections += ["### Layers", _scores(feature.by_layer(), set(feature.layers.values()))]
    if len(further):
        sections += [
            "### Text only, and several layers",
            _scores(further.reset_index().rename(columns={"probe": "layer"})),
        ]
    share, low, high = feature.accuracy
    title = chosen_in_words(feature)
    sections += [
        f"### {title[0].upper()}{title[1:]}",
        f"Accuracy {share:.3f} ({low:.3f} to {high:.3f}) on {int(chosen['n_test'].sum()):,} test rows"
        + (f" of {len(feature.layers)} folds." if len(feature.layers) > 1 else "."),
        " ".join(sorted({str(status) for status in chosen["status"]})),
        _confusion(feature),
        _reliability(feature),
        "### As a monitor, with few false alarms",
        _monitor(feature),
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
        n_shared = of_chosen.drop_duplicates(["test_dataset", "test_feature"])["n_shared"].sum()
        without = f"\n\n{n_shared:,} rows whose text is also in the data set of the run are left out."
        sections += ["### On other data sets, by the chosen layer", _table(header, cells) + without]
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


def chosen_in_words(feature: ReadFeature) -> str:
    """Return the layer that validation rows chose, or those of several test folds.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> print(chosen_in_words(SimpleNamespace(layers={0: 3})))
    layer 3
    >>> print(chosen_in_words(SimpleNamespace(layers={0: 3, 1: 4, 2: 3})))
    layers 3, 4, 3 in test folds 0, 1, 2
    """
    layers = [feature.layers[fold] for fold in sorted(feature.layers)]
    if len(layers) == 1:
        return f"layer {layers[0]}"
    return f"layers {', '.join(map(str, layers))} in test folds {', '.join(map(str, sorted(feature.layers)))}"


def _choices(config: ProbingConfig, first: pd.Series, feature: ReadFeature) -> str:
    """Say which rows chose what."""
    what = "C (lowest log loss after a temperature)"
    if config.reading.solver == "adam":
        what = "the epoch (highest accuracy)"
    given = config.fit.regularization is not None and config.reading.solver == "converged"
    chosen = (
        f"C is {first['regularization']:g} as set; validation rows chose" if given else f"Validation rows chose {what},"
    )
    text = (
        f"{chosen} the temperature and the layer (lowest log loss). Test rows chose nothing; no group is in two of the "
        "three parts."
    )
    if (n_folds := len(feature.layers)) > 1:
        text += (
            f" Each of {n_folds} folds was the test set once, and the layer that is tested on it was chosen by "
            "validation rows outside it. Accuracies are of the test rows of all folds together, and their intervals of "
            "all groups; that folds share training rows is not in the intervals. Other scores are means over folds. "
            "Saved probes are those of the first fold."
        )
    return text


def _scores(table: pd.DataFrame, chosen_layers: Collection[int] = ()) -> str:
    """Return a table of scores by layer, of which those chosen are bold; or by probe, without any chosen layer."""
    intervals = [
        f"{r['test_accuracy']:.3f} ({r['test_accuracy_low']:.3f} to {r['test_accuracy_high']:.3f})"
        for _, r in table.iterrows()
    ]
    table = table.assign(accuracy=intervals)
    shown = [name for name in NAMES if name in table and table[name].notna().any()]
    cells = []
    for _, row in table.iterrows():
        cells.append([row[n] if n == "accuracy" else str(row[n]) if n == "layer" else _number(row[n]) for n in shown])
        if chosen_layers:
            cells[-1][0] = str(int(row["layer"]))
            if row["layer"] in chosen_layers:
                cells[-1] = [f"**{cell}**" for cell in cells[-1]]
    header = [NAMES[name] for name in shown]
    if not chosen_layers:
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
    n_bins = len(before.n)
    for i in range(n_bins):
        cells = [f"{i / n_bins:.2f} to {(i + 1) / n_bins:.2f}"]
        for bins in (before, after):
            n = bins.n[i]
            cells += [f"{int(n)}", _number(bins.confidence[i] / n), _number(bins.right[i] / n)] if n else ["0", "", ""]
        if before.n[i] or after.n[i]:
            lines.append(cells)
    header = ["confidence", *(f"{name} {time}" for time in ("before", "after") for name in ("rows", "mean", "right"))]
    temperatures = ", ".join(f"{value:.3g}" for value in feature.chosen["temperature"])
    return (
        f"Calibration error of the predicted class: {before.error:.3f} as the sigmoid of its score, "
        f"{after.error:.3f} after the temperature ({temperatures}).\n\n{_table(header, lines)}"
    )


def _monitor(feature: ReadFeature) -> str:
    """Return a table of recall and partial ROC-AUC of the chosen layer of the first fold."""
    lines = monitor_lines(feature)
    lines = lines[(lines["layer"] == feature.layer) & (lines["fold"] == min(feature.layers))]
    cells = []
    for row in lines.to_dict("records"):
        values = []
        for name in ("recall", "partial_roc_auc"):
            interval = f" ({row[f'{name}_low']:.3f} to {row[f'{name}_high']:.3f})"
            values.append(f"{row[name]:.3f}{'' if np.isnan(row[f'{name}_low']) else interval}")
        cells.append([row["class"], f"{row['false_positive_rate']:.1%}", *values, row["note"]])
    header = ["score of", "false positive rate", "recall", "partial ROC-AUC", "note"]
    which = f"Layer {feature.layer} of test fold {min(feature.layers)}. " if len(feature.layers) > 1 else ""
    return (
        f"{which}The score of each class separates it from all others. The threshold of a rate is set on the same test "
        "rows, so recall describes the order of the scores; a monitor needs a threshold that benign texts set.\n\n"
        + _table(header, cells)
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
