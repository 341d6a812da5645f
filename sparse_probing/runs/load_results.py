"""The rows of one run or of several as one DataFrame."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from probing_datasets.foundation.errors import TaskError
from sparse_probing.runs.planning.run_record import RUN_RECORD, Run, load_run
from sparse_probing.runs.tasks.published_results import ROWS, read_result, task_folder
from sparse_probing.studies.base.result_rows import COLUMNS, LOGS, read_rows

if TYPE_CHECKING:
    import pandas as pd

logger = logging.getLogger(__name__)


def load_results(runs: Run | Path | str | Iterable[Run | Path | str], finished_only: bool = False) -> pd.DataFrame:
    """Load the rows of a run, or of several runs one after the other.

    Parameters
    ----------
    runs : Run, path, or several of them
        What `run_probing` returned, or the folder of a run.
    finished_only : bool
        Load the finished part of a run of which some tasks have no intact result, with a warning.

    Returns
    -------
    pandas.DataFrame
        One row per probe; `sparse_probing.studies.base.result_rows.COLUMNS` describes each column. The logs of
        proofs are not loaded, because each can be megabytes long: `probing_experiment.py verify` reads them.

    Raises
    ------
    TaskError
        When a folder holds no run, when a task of a run has no intact result (with ``finished_only``: when none has
        one), or when there is no run in the list.
    DamagedFileError
        When the rows of a task have their checksum, and are not rows.
    """
    loaded: list[Run] = []
    for run in [runs] if isinstance(runs, Run | Path | str) else runs:
        if not isinstance(run, Run):
            if not (Path(run) / RUN_RECORD).is_file():
                raise TaskError(f"{run} is not the folder of a run; it has no {RUN_RECORD}.")
            run = load_run(Path(run))
        loaded.append(run)
    if not loaded:
        raise TaskError("There are no runs to load. Pass at least one run, or the folder of one.")
    return read_rows((rows for run in loaded for rows in _rows_of_tasks(run, finished_only)), without=LOGS)


def _rows_of_tasks(run: Run, finished_only: bool) -> Iterator[tuple[Path, bytes]]:
    """Yield the parquet file of every finished task, read once: the bytes that were checked are those that are used."""
    n_finished = 0
    for key in run.tasks:
        result = read_result(run.path, key, run.tasks[key])
        if result is not None:
            n_finished += 1
            yield task_folder(run.path, key) / ROWS, result.rows
    if not n_finished:
        raise TaskError(f"No task of {run.path} is finished. Run probing_experiment.py with the same settings.")
    if n_finished < len(run.tasks):
        n_missing = len(run.tasks) - n_finished
        what = f"{n_missing} of {len(run.tasks)} tasks of {run.path} are not finished, or their rows are damaged."
        if not finished_only:
            raise TaskError(
                f"{what} Run probing_experiment.py with the same settings, which runs only these tasks; "
                "load_results(..., finished_only=True) loads the others."
            )
        logger.warning("%s The rows of the others are loaded.", what)


def rows_of(results: pd.DataFrame | Run | Path | str) -> pd.DataFrame:
    """Return results that may be a run, or the folder of one, as rows.

    A DataFrame of rows gets the columns that were left out because no row fills them, such as those of `Result.rows`.
    """
    if isinstance(results, Run | Path | str):
        return load_results(results)
    missing = [name for name in COLUMNS if name not in results.columns and name not in LOGS]
    return results.reindex(columns=[*results.columns, *missing])
