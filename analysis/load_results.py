"""The rows of a run as one DataFrame."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from experiments.cluster.publish import ROWS, read_record, task_folder
from experiments.cluster.run import Run, load_run
from experiments.results import read_rows
from probing_datasets.foundation.errors import TaskError


def load_results(run: Run | Path | str) -> pd.DataFrame:
    """Load every finished task of a run.

    Parameters
    ----------
    run : Run or path
        What `run_probing` returned, or the folder of a run.

    Returns
    -------
    pandas.DataFrame
        One row per probe; `experiments.results.COLUMNS` says what each column means.

    Raises
    ------
    TaskError
        When the folder holds no run, or no task of it is finished.
    """
    if not isinstance(run, Run):
        if not (Path(run) / "run.json").is_file():
            raise TaskError(f"{run} is not the folder of a run; it has no run.json.")
        run = load_run(Path(run))
    paths = [task_folder(run.path, key) / ROWS for key in run.tasks if read_record(run.path, key) is not None]
    if not paths:
        raise TaskError(f"No task of {run.path} is finished. Run probing_experiment.py with the same settings.")
    return read_rows(paths)
