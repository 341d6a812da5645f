"""The rows of a run as one DataFrame."""

from __future__ import annotations

import logging
from pathlib import Path

import pandas as pd

from probing_datasets.foundation.errors import TaskError
from sparse_probing.result_rows import LOGS, read_rows
from sparse_probing.runs.planning.run import RUN_RECORD, Run, load_run
from sparse_probing.runs.tasks.results import ROWS, finished_tasks, task_folder

logger = logging.getLogger(__name__)


def load_results(run: Run | Path | str) -> pd.DataFrame:
    """Load every finished task of a run.

    Parameters
    ----------
    run : Run or path
        What `run_probing` returned, or the folder of a run.

    Returns
    -------
    pandas.DataFrame
        One row per probe; `sparse_probing.result_rows.COLUMNS` defines each column. The logs of proofs are
        omitted, which can be megabytes each: `probing_experiment.py verify` reads them.

    Raises
    ------
    TaskError
        When the folder holds no run, or no task of it is finished.
    """
    if not isinstance(run, Run):
        if not (Path(run) / RUN_RECORD).is_file():
            raise TaskError(f"{run} is not the folder of a run; it has no {RUN_RECORD}.")
        run = load_run(Path(run))
    finished = finished_tasks(run.path, run.tasks)
    if not finished:
        raise TaskError(f"No task of {run.path} is finished. Run probing_experiment.py with the same settings.")
    if len(finished) < len(run.tasks):
        logger.warning("%d of %d tasks of %s are finished", len(finished), len(run.tasks), run.path)
    return read_rows([task_folder(run.path, key) / ROWS for key in finished], without=LOGS)


def rows_of(results: pd.DataFrame | Run | Path | str) -> pd.DataFrame:
    """Return results that may be a run, or the folder of one, as rows; a DataFrame of rows is returned unchanged."""
    return results if isinstance(results, pd.DataFrame) else load_results(results)
