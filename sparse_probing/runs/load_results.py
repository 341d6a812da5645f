"""The rows of one run or of several as one DataFrame."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from probing_datasets.foundation.errors import TaskError
from sparse_probing.runs.planning.run_record import RUN_RECORD, Run, load_run
from sparse_probing.runs.tasks.published_results import ROWS, finished_tasks, task_folder
from sparse_probing.studies.base.result_rows import COLUMNS, LOGS, read_rows

if TYPE_CHECKING:
    import pandas as pd

logger = logging.getLogger(__name__)


def load_results(runs: Run | Path | str | Iterable[Run | Path | str]) -> pd.DataFrame:
    """Load the rows of every finished task of a run, or of several runs one after the other.

    Parameters
    ----------
    runs : Run, path, or several of them
        What `run_probing` returned, or the folder of a run.

    Returns
    -------
    pandas.DataFrame
        One row per probe; `sparse_probing.studies.base.result_rows.COLUMNS` describes each column. The logs of
        proofs are not loaded, because each can be megabytes long: `probing_experiment.py verify` reads them.

    Raises
    ------
    TaskError
        When a folder holds no run, when no task of a run is finished, or when there is no run in the list.
    """
    files: list[Path] = []
    for run in [runs] if isinstance(runs, Run | Path | str) else runs:
        if not isinstance(run, Run):
            if not (Path(run) / RUN_RECORD).is_file():
                raise TaskError(f"{run} is not the folder of a run; it has no {RUN_RECORD}.")
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


def rows_of(results: pd.DataFrame | Run | Path | str) -> pd.DataFrame:
    """Return results that may be a run, or the folder of one, as rows.

    A DataFrame of rows gets the columns that were left out because no row fills them, such as those of `Result.rows`.
    """
    if isinstance(results, Run | Path | str):
        return load_results(results)
    missing = [name for name in COLUMNS if name not in results.columns and name not in LOGS]
    return results.reindex(columns=[*results.columns, *missing])
