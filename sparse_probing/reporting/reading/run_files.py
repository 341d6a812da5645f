"""Write what a run of reading probes leaves beside its rows.

::

    <run>/
        probe_training_metrics.csv      a line for every epoch, or every C, of every layer
        probe_monitor_metrics.csv       recall and partial ROC-AUC at few false positives, of every class and layer
        probe_training_summary.md       settings, layers with intervals, the chosen probe, controls, what chose what
        probes/probe_at_layer_3/        the probe that validation rows chose: a saved probe
        probes/probe_at_layer_3_final/  of --solver adam: the probe after the last epoch
        figures/                        accuracy_over_layers, confusion, reliability, training_curves, transfer
        transfer.csv                    scores on the data sets of --test_feature_dataset

With several features, each has its own folder in ``probes`` and ``figures``. All of it is made from the published rows
whenever a finished run is reported: a task knows one layer only, and the layer is chosen among all.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from probing_datasets.foundation.files.atomic_files import write_bytes
from probing_datasets.foundation.files.path_names import path_name
from probing_datasets.foundation.spreadsheet_cells import csv_bytes
from probing_datasets.model_names import model_slug
from sparse_probing.probes.convergence import is_converged
from sparse_probing.reporting.figures import reading_probes as figures
from sparse_probing.reporting.figures.save_figure import save_figure
from sparse_probing.reporting.reading.chosen_layers import ReadFeature, read_features, training_metrics
from sparse_probing.reporting.reading.further_probes import further_probes
from sparse_probing.reporting.reading.monitor_lines import monitor_lines
from sparse_probing.reporting.reading.summary import NAMES, chosen_in_words, summary
from sparse_probing.reporting.reading.transfer import transfer
from sparse_probing.runs.planning.run_record import Run
from sparse_probing.runs.probe_of_run import probe_of_run

SUMMARY, METRICS, TRANSFER = "probe_training_summary.md", "probe_training_metrics.csv", "transfer.csv"
MONITOR = "probe_monitor_metrics.csv"
AFTER_LAST_EPOCH = (
    "Coefficients after the last of {epochs} epochs; their objective is {excess:.2%} above its minimum. They were "
    "measured on no validation or test row."
)


def write_reading_files(run: Run, rows: pd.DataFrame) -> tuple[list[str], list[str]]:
    """Write the files of a finished run of reading probes.

    Parameters
    ----------
    run : Run
    rows : pandas.DataFrame
        Rows of the study, with all columns.

    Returns
    -------
    written : list of str
        Names in the folder of the run.
    sentences : list of str
        What validation chose for each feature, and how good it is on test rows.
    """
    features = read_features(rows, run.config.statistics.confidence)
    title = f"{model_slug(run.config.activations.model)}: {rows['dataset'].iloc[0]}, {rows['hook_point'].iloc[0]}"
    written, sentences, sections = [METRICS, MONITOR, SUMMARY], [], [f"# Reading probes of {title}\n"]
    metrics = pd.concat([training_metrics(feature) for feature in features], ignore_index=True)
    write_bytes(run.path / METRICS, csv_bytes(metrics))
    monitors = pd.concat([monitor_lines(feature) for feature in features], ignore_index=True)
    write_bytes(run.path / MONITOR, csv_bytes(monitors))
    transferred = transfer(run, features) if run.config.reading.test_feature_dataset else pd.DataFrame()
    if len(transferred):
        write_bytes(run.path / TRANSFER, csv_bytes(transferred))
        written.append(TRANSFER)
    else:  # of an earlier report with --test_feature_dataset, which the summary does not name any more
        for earlier in (run.path / TRANSFER, *run.path.glob("figures/**/transfer.png")):
            earlier.unlink(missing_ok=True)
    for feature in features:
        further = further_probes(run, feature)
        sections.append(summary(run.config, feature, further, transferred))
        folder = Path() if len(features) == 1 else Path(path_name(feature.feature, "The name of a feature"))
        write_probes(run, rows, feature, run.path / "probes" / folder)
        for name, figure in _figures(
            feature, further, metrics, transferred, title, run.config.reading.class_order
        ).items():
            path = Path("figures") / folder / f"{name}.png"
            save_figure(figure, run.path / path)
            written.append(str(path))
        share, low, high = feature.accuracy
        others = {NAMES[name]: value for name, value in feature.control_accuracies.items()}
        if "bag of words" in further.index:
            others["bag of words"] = float(further.loc["bag of words", "test_accuracy"])
        sentences.append(
            f"{feature.feature}: validation chose {chosen_in_words(feature)}; accuracy {share:.3f} ({low:.3f} to "
            f"{high:.3f}) on test groups" + "".join(f"; {name} {value:.3f}" for name, value in others.items()) + "."
        )
    write_bytes(run.path / SUMMARY, "\n".join(sections).encode())
    return [*written, "probes"], sentences


def write_probes(run: Run, rows: pd.DataFrame, feature: ReadFeature, folder: Path) -> None:
    """Save the probe of every layer, of the first test fold; that of Adam also as it is after the last epoch."""
    first_fold = feature.probes[feature.probes["fold"] == feature.probes["fold"].min()]
    for row in first_fold.to_dict("records"):
        layer = int(row["layer"])
        probe = probe_of_run(run, rows, feature.feature, layer, probe=row["probe"])
        probe.save(folder / f"probe_at_layer_{layer}", overwrite=True)
        if row["last_coef"] is not None:
            excess = float(row["excess_over_optimum"])
            gap = excess / (1 + excess)
            # No validation row has seen the last probe: neither its temperature nor its metrics are known.
            last = replace(
                probe,
                coef=np.reshape(row["last_coef"], probe.coef.shape),
                intercept=np.asarray(row["last_intercepts"]),
                link="sigmoid",  # as it was trained
                temperature=1.0,
                provenance=replace(
                    probe.provenance,
                    metrics={},
                    gap=gap,
                    converged=is_converged(gap),
                    status=AFTER_LAST_EPOCH.format(epochs=len(row["curve_epoch"]), excess=excess),
                ),
            )
            last.save(folder / f"probe_at_layer_{layer}_final", overwrite=True)


def _figures(
    feature: ReadFeature,
    further: pd.DataFrame,
    metrics: pd.DataFrame,
    transferred: pd.DataFrame,
    title: str,
    order: tuple[str, ...],
) -> dict[str, figures.Figure]:
    """Return the figures of a feature by name."""
    chosen = f"{feature.feature}, {chosen_in_words(feature)}"
    baselines = {
        f"text: {n}": further.loc[n, "test_accuracy"]
        for n in ("bag of words", "length", "position")
        if n in further.index
    }
    confusion, names = feature.confusion, feature.class_names
    place = [names.index(name) for name in order or names]
    before, after = (feature.reliability(f"test_reliability{time}") for time in ("_before", ""))
    own = metrics[(metrics["feature"] == feature.feature) & (metrics["fold"] == metrics["fold"].min())]
    drawn = {
        "accuracy_over_layers": figures.accuracy_over_layers(
            feature.by_layer(),
            sorted(set(feature.layers.values())),
            baselines,
            f"{feature.feature}; {title}",
            float(confusion.sum(axis=1).max() / confusion.sum()),
        ),
        "confusion": figures.confusion_matrix(confusion[np.ix_(place, place)], [names[i] for i in place], chosen),
        "reliability": figures.reliability_diagram(before, after, chosen),
        "training_curves": figures.training_curves(own, f"{feature.feature}; {title}"),
    }
    if len(transferred):
        areas = transferred[(transferred["feature"] == feature.feature) & transferred["roc_auc"].notna()]
        if len(areas):
            pair = areas["test_dataset"].str.split(".").str[0] + ": " + areas["score"] + " for " + areas["label"]
            matrix = areas.assign(pair=pair).pivot_table(index="pair", columns="layer", values="roc_auc", sort=False)
            drawn["transfer"] = figures.transfer_matrix(matrix, f"Trained on {feature.feature}; {title}")
    return drawn
