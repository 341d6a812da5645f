"""One task: read a layer, fit the probes of its features, publish the rows."""

from __future__ import annotations

import logging
import socket
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from probing_datasets.foundation.environment import read_settings
from probing_datasets.foundation.provenance import provenance
from sparse_probing.runs.planning.run_record import Run, load_run
from sparse_probing.runs.tasks.partial_rows import INTERRUPTED, Checkpoints
from sparse_probing.runs.tasks.published_results import TaskRecord, publish, read_record
from sparse_probing.runs.tasks.task_data import task_data
from sparse_probing.studies import STUDIES
from sparse_probing.studies.base.fit_variant import add_failures, fit_variant
from sparse_probing.studies.base.interruption import Interrupted, deliver, interrupted, signals_noted
from sparse_probing.studies.base.probe_row import probe_row

logger = logging.getLogger(__name__)

SAVED: list[str] = []
"""What this process has saved: tasks, and features of unfinished tasks. A job that saves nothing in all its time is
requeued only once."""


def run_task(run_path: str, key: str) -> TaskRecord:
    """Run one task unless it is finished, and return its record.

    Features that cannot be probed are named in the record; they do not affect the others.

    Parameters
    ----------
    run_path : str
        Folder of the run.
    key : str
        Key of the task.

    Raises
    ------
    CorruptStoreError
        When a file of the layer does not have the recorded checksum.
    Interrupted
        When a signal ended a search, and its handler returned. Nothing is published then.
    """
    run = load_run(Path(run_path))
    record = read_record(run.path, key, run.tasks[key])
    if record is not None:
        return record
    start = time.perf_counter()
    rows, failures = fit_task(run, key)
    seconds = round(time.perf_counter() - start, 3)
    job, host = read_settings().job_id, socket.gethostname()
    record = TaskRecord(key, run.tasks[key], failures, seconds, job, host, provenance())
    publish(run.path, rows, record)
    SAVED.append(key)
    Checkpoints(run.path, key).remove()
    return record


def fit_task(run: Run, key: str) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Fit the probes of a task; return their rows, and why features could not be probed.

    A slow study is fitted feature by feature, and the rows of a feature that is finished are kept: after an
    interruption, the task continues with the next one.
    """
    config, task = run.config, run.tasks[key]
    study, checkpoints = STUDIES[task.study], Checkpoints(run.path, key)
    variants, failures = task_data(run, task)
    rows: list[dict[str, Any]] = []
    for number, features in enumerate(variants):
        if study.slow:
            portions = {f"variant {number}, feature {i}": [data] for i, data in enumerate(features)}
        else:
            portions = {"": features}
        for name, portion in portions.items():
            if name and (finished := checkpoints.read(name)) is not None:
                rows += finished
                continue
            # Signals are noted for the whole fit: one between two searches must not lose what the first one found.
            with signals_noted() if study.slow else nullcontext():
                fittings = fit_variant(config, study, portion)
            add_failures(failures, fittings.failures)
            fitted = [probe_row(config, task.study, task.layer, data, probe) for data, probe in fittings.probes]
            rows += fitted
            if interrupted() or any(row.get("proof_status") == "interrupted" for row in fitted):
                # Keep what the search found for people to read, and let the signal end the process. None of it is
                # a finished row, whatever the handler of the signal does.
                path = checkpoints.keep(INTERRUPTED, rows)
                logger.warning("interrupted: the best supports found so far, with their bounds, are in %s", path)
                deliver()
                raise Interrupted("interrupted: a search ended early without a signal.")
            if name and not fittings.failures:
                checkpoints.keep(name, fitted)
                SAVED.append(name)
    return rows, failures
