"""Probes beside those of single layers, on the same groups: of the text only, and of several layers together.

They do not belong to one layer, so no task fits them; they take seconds and are fitted when a run is reported.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from probing_datasets.feature_dataset import FeatureDataset
from sparse_probing.activations.stores import ActivationStore
from sparse_probing.config import ProbingConfig
from sparse_probing.reporting.reading.chosen_layers import ReadFeature, with_accuracy
from sparse_probing.runs.planning.run_record import Run, Task
from sparse_probing.runs.tasks.task_data import open_task_inputs, task_splits
from sparse_probing.studies.base.result_rows import FittedProbe
from sparse_probing.studies.base.variant_data import feature_data
from sparse_probing.studies.base.variants import NEURONS
from sparse_probing.studies.reading.candidates import Candidate, converged
from sparse_probing.studies.reading.reading_probes import measured
from sparse_probing.studies.reading.three_parts import ReadingData, divide

FEWEST_TEXTS = 3
"""Rows in which a token must occur to be a column of the bag of words."""
AVERAGED = ("validation_accuracy", "validation_log_loss", "test_roc_auc", "test_confidence_error")
AVERAGED += ("test_step_error", "test_quadratic_kappa", "temperature")


def further_probes(run: Run, feature: ReadFeature) -> pd.DataFrame:
    """Return the scores of text-only probes and of probes of several layers.

    Accuracy is that of the test rows of all folds together; other scores are averaged over them.

    Parameters
    ----------
    run : Run
        A finished run of reading probes.
    feature : ReadFeature

    Returns
    -------
    pandas.DataFrame
        One line per probe, with its name in the index.
    """
    inputs = open_task_inputs(run)
    task = Task("reading_probes", feature.layer, (feature.feature,))
    splits, _ = task_splits(run, task, inputs)
    config = run.config.with_flags(solver="converged")
    n_combined = min(run.config.reading.combined_layers, feature.probes["layer"].nunique())
    probes: list[tuple[str, FittedProbe]] = []
    for name, matrix in text_matrices(inputs.dataset, inputs.store, run.config.activations.activation_aggregation):
        for split in splits:
            data = feature_data(split, matrix, NEURONS, "unit", config.activations.seed)
            reading = divide(config, data)
            probes.append((name, measured(config, data, reading, converged(config, reading))))
    if n_combined > 1:
        for split in splits:
            of_fold = feature.probes[feature.probes["fold"] == split.fold]
            best = of_fold.sort_values("validation_log_loss", kind="stable").head(n_combined)
            layers = [inputs.store.read(int(layer), dtype=None) for layer in best["layer"]]
            data = feature_data(split, np.hstack(layers), NEURONS, "unit", config.activations.seed)
            reading = divide(config, data)
            for name, fit in COMBINATIONS.items():
                name = f"{name} {n_combined} layers"
                probes.append((name, measured(config, data, reading, fit(config, reading, best))))
    table = pd.DataFrame([{"probe": name, **_numbers(probe)} for name, probe in probes])
    counts = pd.Series([probe.further["test_group_counts"] for _, probe in probes])
    means = table.groupby("probe", sort=False).mean()
    return with_accuracy(means, counts.groupby(table["probe"]), feature.confidence).rename_axis("probe")


def text_matrices(
    dataset: FeatureDataset, store: ActivationStore, aggregation: str
) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Yield what can be known of every row of a store without a model: name and matrix (rows, columns).

    The bag of words counts the tokens of the sequence (of a row of a token: up to that token), as log(1 + count), for
    tokens of three rows or more. The position of a token is also given; of a sequence there is its length only.
    """
    sequence, position = store.rows
    lengths = dataset.lengths[sequence]
    ends = lengths if aggregation != "none" else position + 1
    tokens = dataset.tokens(np.unique(sequence))
    of_sequence = dict(zip(np.unique(sequence).tolist(), tokens, strict=True))
    counted = [np.unique(of_sequence[s][:end], return_counts=True) for s, end in zip(sequence, ends, strict=True)]
    row = np.repeat(np.arange(len(counted)), [len(ids) for ids, _ in counted])
    ids, counts = (np.concatenate(part) for part in zip(*counted, strict=True))
    names, column, in_rows = np.unique(ids, return_inverse=True, return_counts=True)
    # A token that every row has equally often, such as those of a chat template, is constant and changes nothing.
    frequent = np.flatnonzero(in_rows >= FEWEST_TEXTS)
    place = np.full(len(names), -1)
    place[frequent] = np.arange(len(frequent))
    bag = np.zeros((len(counted), max(len(frequent), 1)), np.float32)
    used = place[column] >= 0
    bag[row[used], place[column[used]]] = np.log1p(counts[used])
    yield "bag of words", bag
    yield "length", np.stack([lengths, np.log(lengths)], axis=1).astype(np.float32)
    if aggregation == "none" and len(np.unique(position)) > 1:
        yield "position", np.stack([position, np.log1p(position)], axis=1).astype(np.float32)


def average(_config: ProbingConfig, reading: ReadingData, best: pd.DataFrame) -> Candidate:
    """Return the mean of the scores of several layers, each divided by its temperature: a linear function of them."""
    rows, n_classes = best.to_dict("records"), reading.targets(reading.train).shape[1]
    coef = np.hstack([np.reshape(row["coef"], (n_classes, -1)) / row["temperature"] for row in rows]) / len(rows)
    intercepts = [
        np.ravel(row["intercept"] if row["class_intercepts"] is None else row["class_intercepts"]) / row["temperature"]
        for row in rows
    ]
    intercept = np.mean(intercepts, axis=0)
    if reading.scale is not None:  # the coefficients are for stored activations
        intercept = intercept + coef @ reading.scale.mean
        coef = coef * reading.scale.deviation
    return Candidate("average", coef, intercept, "Mean of the scores of several layers.")


COMBINATIONS: dict[str, Callable[[ProbingConfig, ReadingData, pd.DataFrame], Candidate]] = {
    "average of": average,
    "concatenation of": lambda config, reading, _: converged(config, reading),
}


def _numbers(probe: FittedProbe) -> dict[str, float]:
    values = {**probe.metrics, **probe.further}
    return {name: float(values[name]) for name in AVERAGED if name in values}
