"""The rows of one run or of several as one DataFrame."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from probing_datasets.foundation.errors import TaskError
from sparse_probing.results import read_rows
from sparse_probing.runs.planning.run import PLAN, Run, load_run
from sparse_probing.runs.tasks.results import ROWS, finished_tasks, task_folder

if TYPE_CHECKING:
    import pandas as pd

logger = logging.getLogger(__name__)

LOGS = ("proof",)
"""Columns that only the verifier reads."""


def load_results(runs: Run | Path | str | Iterable[Run | Path | str]) -> pd.DataFrame:
    """Load the rows of every finished task of a run, or of several runs one after the other.

    Parameters
    ----------
    runs : Run, path, or several of them
        What `run_probing` returned, or the folder of a run.

    Returns
    -------
    pandas.DataFrame
        One row per probe; `sparse_probing.results.COLUMNS` describes each column. The logs of proofs are not
        loaded, because each can be megabytes long: `probing_experiment.py verify` reads them.

    Raises
    ------
    TaskError
        When a folder holds no run, when no task of a run is finished, or when there is no run in the list.
    """
    files: list[Path] = []
    for run in [runs] if isinstance(runs, Run | Path | str) else runs:
        if not isinstance(run, Run):
            if not (Path(run) / PLAN).is_file():
                raise TaskError(f"{run} is not the folder of a run; it has no {PLAN}.")
            run = load_run(Path(run))
        finished = finished_tasks(run.path, run.tasks)
        if not finished:
            raise TaskError(f"No task of {run.path} is finished. Run probing_experiment.py with the same settings.")
        if len(finished) < len(run.tasks):
            logger.warning("%d of %d tasks of %s are finished", len(finished), len(run.tasks), run.path)
        files += [task_folder(run.path, key) / ROWS for key in finished]
    if not files:
        raise TaskError("There are no runs to load. Pass at least one run, or the folder of one.")
    return read_rows(files, without=LOGS)
