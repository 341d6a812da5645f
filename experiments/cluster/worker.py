"""One task: read a layer, fit the probes of its features, publish the rows."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.cluster.inputs import Inputs, open_inputs
from experiments.cluster.publish import publish, read_record
from experiments.cluster.run import Run, Task, load_run
from experiments.config import ProbingConfig
from experiments.probes.bases import BASES
from experiments.studies import STUDIES, Study
from experiments.studies.fitting import Fitted, ask, fit_variant
from experiments.studies.variants import Variant, control_in_basis
from probing_datasets.feature_dataset import FeatureKind
from probing_datasets.foundation.errors import DatasetError, StoreError
from probing_datasets.foundation.provenance import provenance
from probing_datasets.probed_rows import FeatureRows, ProbedRows, feature_rows

Row = dict[str, Any]
Failed = dict[str, str]


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
    rows, failed = _do(run, run.tasks[key])
    record = {
        "task": asdict(run.tasks[key]),
        "failed_features": failed,
        "seconds": round(time.perf_counter() - start, 3),
        "versions": provenance(),
    }
    publish(run.path, key, rows, record)
    return record


def _do(run: Run, task: Task) -> tuple[list[Row], Failed]:
    config, study, inputs = run.config, STUDIES[task.study], open_inputs(run.config)
    if inputs.digest != run.input_digest:
        path = inputs.store.path
        raise StoreError(f"{path} was written anew after the run was planned. Run probing_experiment.py again.")
    features, failed = _features(inputs, task, config)
    asked = ask(config, study, features, failed)
    rows: list[Row] = []
    for variant, layer in _layers(inputs, task.layer, _variants(config, study, inputs), config.seed):
        fittings = fit_variant(config, study, asked, layer, variant, task.layer)
        for feature, reason in fittings.failed.items():
            failed[feature] = f"{failed[feature]}; {reason}" if feature in failed else reason
        rows += [_row(config, task, variant, fitted) for fitted in fittings.done]
    return rows, failed


def _features(
    inputs: Inputs, task: Task, config: ProbingConfig
) -> tuple[dict[str, tuple[FeatureKind, FeatureRows]], Failed]:
    stored, found, failed = ProbedRows(*inputs.store.rows), {}, {}
    for feature in task.features:
        kind = inputs.dataset.description.features[feature].kind
        try:
            rows = feature_rows(
                inputs.dataset, feature, stored, config.activation_aggregation, config.probe_next_token_feature
            )
            found[feature] = (kind, rows)
        except DatasetError as error:
            failed[feature] = str(error)
    return found, failed


def _variants(config: ProbingConfig, study: Study, inputs: Inputs) -> list[Variant]:
    controls = [control_in_basis(name, config.basis) for name in config.controls if name in study.controls]
    there = [control for control in controls if inputs.random_init is not None or not control.random_init]
    return [*study.variants(config), *there]


def _layers(inputs: Inputs, layer: int, variants: list[Variant], seed: int) -> Iterator[tuple[Variant, NDArray]]:
    """Yield each variant with the activations it is fitted to, in the precision they are stored in."""
    stored = inputs.store.read(layer, dtype=None, order="F")
    for variant in variants:
        source = stored
        if variant.random_init and inputs.random_init is not None:
            source = inputs.random_init.read(layer, dtype=None, order="F")
        yield variant, BASES[variant.basis](source, np.random.default_rng((seed, layer, variant.trial)))


def _row(config: ProbingConfig, task: Task, variant: Variant, fitted: Fitted) -> Row:
    train, test = fitted.problem.train.label, fitted.problem.test.label
    binary = fitted.problem.kind == "binary"
    common = {
        "experiment_name": config.experiment_name,
        "study": task.study,
        "model": config.model,
        "revision": config.revision or "",
        "random_init": config.random_init or variant.random_init,
        "dataset": config.dataset_name,
        "feature": fitted.problem.feature,
        "layer": task.layer,
        "hook_point": config.probe_location,
        "aggregation": config.activation_aggregation,
        "control": variant.control or "",
        "basis": variant.basis,
        "trial": variant.trial,
        "fold": fitted.fold,
        "normalized": config.normalize_activations,
        "seed": config.seed,
        "regularization": config.regularization,
        "n_train": len(train),
        "n_test": len(test),
        "n_positive_train": int((train > 0).sum()) if binary else None,
        "n_positive_test": int((test > 0).sum()) if binary else None,
    }
    row = {**common, **fitted.probe.as_row()}
    return {**row, "ranking": variant.ranking} if variant.ranking else row
