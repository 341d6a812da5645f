"""Tasks as an array of Slurm jobs, which outlive this process: ``--cluster slurm``."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from sparse_probing.config import ExecutionConfig, SlurmConfig
from sparse_probing.runs.planning.run_record import Run
from sparse_probing.runs.slurm.job_arrays import task_array
from sparse_probing.runs.slurm.sbatch import submit_array
from sparse_probing.runs.slurm.squeue import cancel_jobs
from sparse_probing.runs.status.run_status import RunStatus
from sparse_probing.runs.status.waiting import wait_for_tasks
from sparse_probing.runs.submissions import Submission, record_submission


@dataclass(frozen=True)
class SlurmArrays:
    """Submits tasks as one array."""

    execution: ExecutionConfig
    slurm: SlurmConfig

    def submit(self, run: Run, keys: list[str]) -> Submission | None:
        """Submit an array for some tasks.

        Raises
        ------
        SettingsError
            When there is no Slurm here, or it refuses the array.
        TaskError
            When Slurm does not answer.
        """
        if not keys:
            return None
        return submit_array(task_array(run, keys, self.execution, self.slurm))

    def wait(self, run: Run, keys: list[str]) -> RunStatus:
        """Wait until no job runs these tasks or will run them."""
        return wait_for_tasks(run, keys)

    def cancel(self, folder: Path, submission: Submission) -> str:
        """Cancel the jobs of a submission, and record that they were cancelled.

        Raises
        ------
        TaskError
            When Slurm does not answer.
        """
        cancel_jobs(submission.id)
        record_submission(folder, replace(submission, phase="cancelled"))
        return f"cancelled {submission.id}, job {submission.job_id}"
