"""One task: read a layer, fit the probes of its features, publish the rows."""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

from probing_datasets.foundation.provenance import provenance
from probing_datasets.foundation.settings import read_settings
from sparse_probing.config import ProbingConfig
from sparse_probing.config.locations import dataset_name
from sparse_probing.interruption import deliver, interrupted, signals_noted
from sparse_probing.runs.planning.run import Run, Task, load_run
from sparse_probing.runs.tasks.checkpoints import INTERRUPTED, Checkpoints
from sparse_probing.runs.tasks.results import publish, read_record
from sparse_probing.runs.tasks.task_data import features_of, inputs_of, layers_of, variants_of
from sparse_probing.studies import STUDIES, Study
from sparse_probing.studies.base.fit_study import Fitted, ask, fit_variant
from sparse_probing.studies.base.prepare import Question
from sparse_probing.studies.base.variants import Variant

logger = logging.getLogger(__name__)

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
    rows, failed = _do(run, key)
    record = {
        "task": asdict(run.tasks[key]),
        "failed_features": failed,
        "seconds": round(time.perf_counter() - start, 3),
        "job": read_settings().job_id,
        "host": socket.gethostname(),
        "versions": provenance(),
    }
    publish(run.path, key, rows, record)
    Checkpoints(run.path, key).remove()
    return record


def _do(run: Run, key: str) -> tuple[list[Row], Failed]:
    config, task, inputs = run.config, run.tasks[key], inputs_of(run)
    study, kept = STUDIES[task.study], Checkpoints(run.path, key)
    features, failed = features_of(inputs, task, config)
    asked = ask(config, study, features, failed)
    rows: list[Row] = []
    variants = variants_of(config, study, inputs)
    for number, (variant, layer) in enumerate(layers_of(inputs, task.layer, variants, config.activations.seed)):
        for name, some in _portions(study, asked, number):
            if name and (earlier := kept.read(name)) is not None:
                rows += earlier
                continue
            # Not only while it searches: a signal between two searches must not lose what the first one found.
            with signals_noted() if study.slow else nullcontext():
                fittings = fit_variant(config, study, some, layer, variant, task.layer)
            for feature, reason in fittings.failed.items():
                failed[feature] = f"{failed[feature]}; {reason}" if feature in failed else reason
            found = [_row(config, task, variant, fitted) for fitted in fittings.done]
            _end_if_interrupted(kept, rows + found)
            rows += found
            if name and not fittings.failed:
                kept.keep(name, found)
    return rows, failed


def _portions(study: Study, asked: list[Question], variant: int) -> Iterator[tuple[str, list[Question]]]:
    """Yield what is fitted together: all questions, or of a slow study each alone, with the name it is kept under."""
    if not study.slow:
        yield "", asked
        return
    for number, question in enumerate(asked):
        yield f"variant {variant}, feature {number}", [question]


def _end_if_interrupted(kept: Checkpoints, rows: list[Row]) -> None:
    """Keep what a search had found when a signal ended it, and let the signal do what it does."""
    if interrupted():
        path = kept.keep(INTERRUPTED, rows)
        logger.warning("interrupted: the best supports so far, with their bounds, are in %s", path)
        deliver()


def _row(config: ProbingConfig, task: Task, variant: Variant, fitted: Fitted) -> Row:
    train, test = fitted.problem.train.label, fitted.problem.test.label
    binary = fitted.problem.kind == "binary"
    common = {
        "experiment_name": config.experiment_name,
        "study": task.study,
        "model": config.activations.model,
        "revision": config.activations.revision or "",
        "random_init": config.activations.random_init or variant.random_init,
        "dataset": dataset_name(config.activations),
        "feature": fitted.problem.feature,
        "layer": task.layer,
        "hook_point": config.activations.probe_location,
        "aggregation": config.activations.activation_aggregation,
        "control": variant.control or "",
        "basis": variant.basis,
        "trial": variant.trial,
        "fold": fitted.fold,
        "normalized": config.fit.normalize_activations,
        "seed": config.activations.seed,
        "regularization": config.fit.regularization,
        "n_train": len(train),
        "n_test": len(test),
        "n_positive_train": int((train > 0).sum()) if binary else None,
        "n_positive_test": int((test > 0).sum()) if binary else None,
    }
    row = {**common, **fitted.probe.as_row()}
    return {**row, "ranking": variant.ranking} if variant.ranking else row
