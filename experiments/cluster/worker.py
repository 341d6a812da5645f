"""One task: read a layer, fit the probes of its features, publish the rows."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from experiments.cluster.inputs import open_inputs
from experiments.cluster.publish import publish, read_record
from experiments.cluster.run import Run, Task, load_run
from experiments.config import ProbingConfig
from experiments.probes.controls import shuffled_labels
from experiments.probes.splits import Split, grouped_stratified_split
from experiments.probes.standardise import Standardiser
from experiments.results import FittedProbe
from experiments.studies import STUDIES
from experiments.studies.data import SplitData
from probing_datasets.feature_dataset import FeatureDataset
from probing_datasets.foundation.errors import DatasetError, ProbeError, SplitError, StoreError
from probing_datasets.foundation.provenance import provenance
from probing_datasets.probed_rows import FeatureRows, ProbedRows, feature_rows

Row = dict[str, Any]


def run_task(run_path: str, key: str) -> dict[str, Any]:
    """Do one task of a run, unless it is done, and return its record.

    Features that cannot be probed are named in the record; the others are not touched by it.

    Parameters
    ----------
    run_path : str
        Folder of the run.
    key : str
        Name of the task.

    Raises
    ------
    CorruptStoreError
        When a file of the layer does not have the recorded checksum.
    """
    run = load_run(Path(run_path))
    record = read_record(run.path, key)
    if record is not None:
        return record
    start = time.perf_counter()
    rows, failed = _fit_features(run, run.tasks[key])
    record = {
        "task": asdict(run.tasks[key]),
        "failed_features": failed,
        "seconds": round(time.perf_counter() - start, 3),
        "versions": provenance(),
    }
    publish(run.path, key, rows, record)
    return record


def _fit_features(run: Run, task: Task) -> tuple[list[Row], dict[str, str]]:
    config = run.config
    dataset, store = open_inputs(config)
    if store.digest != run.store_digest:
        raise StoreError(f"{store.path} was written anew after the run was planned. Run probing_experiment.py again.")
    activations = store.read(task.layer)
    stored = ProbedRows(*store.rows)
    rows: list[Row] = []
    failed: dict[str, str] = {}
    for feature in task.features:
        try:
            chosen = feature_rows(dataset, feature, stored, config.activation_aggregation)
            rows += _fit_feature(config, dataset, task.layer, feature, chosen, activations)
        except (SplitError, ProbeError, DatasetError) as error:
            failed[feature] = str(error)
    return rows, failed


def _fit_feature(
    config: ProbingConfig,
    dataset: FeatureDataset,
    layer: int,
    feature: str,
    chosen: FeatureRows,
    activations: np.ndarray,
) -> list[Row]:
    labels = chosen.label.astype(np.int8)
    split = grouped_stratified_split(labels, chosen.group, config.test_set_frac, config.seed)
    train, test = (activations[chosen.row[part]] for part in (split.train, split.test))
    scale = Standardiser.of(train) if config.normalize_activations else None
    if scale is not None:
        train, test = scale.apply(train), scale.apply(test)
    rows: list[Row] = []
    for control in ("", *config.controls):
        rng = np.random.default_rng(config.seed)
        y = _shuffled_within_sides(labels, chosen.sequence, split, rng) if control == "shuffled_labels" else labels
        data = SplitData(train, y[split.train], test, y[split.test])
        common = _common_columns(config, dataset, layer, feature, control, data)
        probes = STUDIES[config.experiment_type](config, data, rng)
        rows += [{**common, **_as_row(probe, scale)} for probe in probes]
    return rows


def _shuffled_within_sides(
    labels: np.ndarray, sequence: np.ndarray, split: Split, rng: np.random.Generator
) -> np.ndarray:
    """Shuffle labels so that training and test rows both keep both classes, however rare one is."""
    shuffled = labels.copy()
    for side in (split.train, split.test):
        shuffled[side] = shuffled_labels(labels[side], sequence[side], rng)
    return shuffled


def _as_row(probe: FittedProbe, scale: Standardiser | None) -> Row:
    row = probe.as_row()
    if scale is not None:
        row["coef"], row["intercept"] = scale.undo(probe.support, probe.coef, probe.intercept)
    return row


def _common_columns(
    config: ProbingConfig, dataset: FeatureDataset, layer: int, feature: str, control: str, data: SplitData
) -> Row:
    return {
        "experiment_name": config.experiment_name,
        "study": config.experiment_type,
        "model": config.model,
        "revision": config.revision or "",
        "random_init": config.random_init,
        "dataset": dataset.name,
        "feature": feature,
        "layer": layer,
        "hook_point": config.probe_location,
        "aggregation": config.activation_aggregation,
        "control": control,
        "normalized": config.normalize_activations,
        "seed": config.seed,
        "regularization": config.regularization,
        "n_train": len(data.y_train),
        "n_test": len(data.y_test),
        "n_positive_train": int((data.y_train > 0).sum()),
        "n_positive_test": int((data.y_test > 0).sum()),
    }
