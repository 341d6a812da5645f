"""Where the tasks of a run are run: in this process, in worker processes, or as Slurm jobs."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from sparse_probing.config import Cluster, ExecutionConfig, SlurmConfig
from sparse_probing.runs.executors.local_workers import LocalWorkers
from sparse_probing.runs.executors.slurm import SlurmArrays
from sparse_probing.runs.executors.this_process import ThisProcess
from sparse_probing.runs.planning.run_record import Run
from sparse_probing.runs.status.run_status import RunStatus
from sparse_probing.runs.submissions import Submission


class Executor(Protocol):
    """Runs the tasks of a run."""

    def submit(self, run: Run, keys: list[str]) -> Submission | None:
        """Record a submission of some tasks and hand it over; return it, or None when there are no tasks.

        The caller holds the launch lock, so that no two processes submit the same task.
        """
        ...

    def wait(self, run: Run, keys: list[str]) -> RunStatus:
        """Wait until none of these tasks is running or will run; return the states of all tasks of the run."""
        ...

    def cancel(self, folder: Path, submission: Submission, /) -> str:
        """Cancel a submission that is recorded in a folder; return what was done, as a sentence."""
        ...


def executor_of(cluster: Cluster, execution: ExecutionConfig, slurm: SlurmConfig) -> Executor:
    """Return the executor that ``--cluster`` names."""
    if cluster == "slurm":
        return SlurmArrays(execution, slurm)
    return LocalWorkers(execution.workers) if cluster == "local" else ThisProcess()
