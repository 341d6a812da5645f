"""The program of a job: ``python -m sparse_probing.runs.slurm.job FOLDER`` makes the call that FOLDER holds for it.

submitit handles signals: before a time-out it requeues the job, which then makes the same call again, unless it
saved nothing twice.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from submitit import JobEnvironment
from submitit.core.submission import process_job
from submitit.core.utils import DelayedSubmission, JobPaths

from probing_datasets.foundation.command_line import prepare_output
from probing_datasets.foundation.errors import TaskError
from probing_datasets.foundation.files.sealed_json import read_sealed, write_sealed
from sparse_probing.runs.slurm.resumable import Resumable
from sparse_probing.runs.submissions import LOGS, mark_ended
from sparse_probing.runs.tasks.entry_points import harvest_share, run_entry, run_share
from sparse_probing.studies.base.interruption import Interrupted

CALLS = "calls.json"
SECONDS_UNTIL_KILLED = 600
"""How long a job whose search was interrupted waits for its end; longer than the grace time of most partitions."""

FUNCTIONS: dict[str, Callable[..., None]] = {
    "run_entry": run_entry,
    "run_share": run_share,
    "harvest_share": harvest_share,
}
"""Functions that a job may call; each can be called again at any time."""


@dataclass(frozen=True)
class Calls:
    """The calls of the entries of an array; written before the array is submitted, and never changed."""

    function: str
    """One of FUNCTIONS."""
    arguments: list[list[Any]]
    """JSON values, for each entry."""
    time: int
    """Minutes of a job."""
    max_timeouts: int
    """How many times a job is requeued before a time-out."""

    def write(self, folder: Path) -> None:
        """Write the calls into the folder of a submission."""
        (folder / LOGS).mkdir(parents=True)
        write_sealed(folder / CALLS, self)


def main(folder: Path) -> None:
    """Make the call of this entry.

    Parameters
    ----------
    folder : Path
        Folder of the submission.
    """
    prepare_output()
    logging.getLogger("submitit").propagate = False  # it has handlers already
    environment = JobEnvironment()
    paths = JobPaths(folder / LOGS, environment.job_id)
    for path in (paths.submitted_pickle, paths.result_pickle):  # submitit fails on the remains of a killed process
        path.with_name(f"{path.name}.save_tmp").unlink(missing_ok=True)
    if not paths.submitted_pickle.exists():
        calls = read_sealed(folder / CALLS, Calls, "Launch again.")
        arguments = calls.arguments[int(environment.array_task_id or 0)]
        call = DelayedSubmission(Resumable(FUNCTIONS[calls.function], calls.time), *arguments)
        call.set_timeout(calls.time, calls.max_timeouts)
        call.dump(paths.submitted_pickle)
    try:
        process_job(folder / LOGS)
    except TaskError:  # tasks failed, but each of them was attempted
        mark_ended(folder / LOGS, environment.job_id)
        raise
    except Interrupted as interruption:
        # Slurm is about to end the job. It requeues a job that it preempted only when it ended it: one that ends by
        # itself in its grace time has failed.
        print(interruption, file=sys.stderr, flush=True)  # noqa: T201 (the log of the job)
        time.sleep(SECONDS_UNTIL_KILLED)
        sys.exit(1)
    mark_ended(folder / LOGS, environment.job_id)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
