"""The rows of a run as one DataFrame."""

from __future__ import annotations

import logging
from pathlib import Path

import pandas as pd

from probing_datasets.foundation.errors import TaskError
from sparse_probing.results import read_rows
from sparse_probing.runs.planning.plan_run import Run, load_run
from sparse_probing.runs.tasks.results import ROWS, finished_tasks, task_folder

logger = logging.getLogger(__name__)

LOGS = ("proof",)
"""Columns for the verifier alone."""


def load_results(run: Run | Path | str) -> pd.DataFrame:
    """Load every finished task of a run.

    Parameters
    ----------
    run : Run or path
        What `run_probing` returned, or the folder of a run.

    Returns
    -------
    pandas.DataFrame
        One row per probe; `sparse_probing.results.COLUMNS` says what each column means. The logs of proofs
        are left out, which can be megabytes each: `probing_experiment.py verify` reads them.

    Raises
    ------
    TaskError
        When the folder holds no run, or no task of it is finished.
    """
    if not isinstance(run, Run):
        if not (Path(run) / "run.json").is_file():
            raise TaskError(f"{run} is not the folder of a run; it has no run.json.")
        run = load_run(Path(run))
    finished = finished_tasks(run.path, run.tasks)
    if not finished:
        raise TaskError(f"No task of {run.path} is finished. Run probing_experiment.py with the same settings.")
    if len(finished) < len(run.tasks):
        logger.warning("%d of %d tasks of %s are finished", len(finished), len(run.tasks), run.path)
    return read_rows([task_folder(run.path, key) / ROWS for key in finished], without=LOGS)
