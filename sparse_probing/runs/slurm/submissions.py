"""Submissions: what was handed to Slurm, or to worker processes, and when; recorded before it is done."""

from __future__ import annotations

import json
import os
import socket
import uuid
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from probing_datasets.foundation.atomic_files import write_json
from probing_datasets.foundation.errors import TaskError
from sparse_probing.config import Cluster
from sparse_probing.runs.locks import is_locked
from sparse_probing.runs.planning.run import Run
from sparse_probing.runs.slurm.squeue import Queue, ask_queue

SUBMISSIONS = "submissions"
RECORD = "submission.json"
LOGS = "logs"
LAUNCH_LOCK = "launch.lock"

Stage = Literal["harvest", "probe"]


@dataclass(frozen=True)
class Submission:
    """Jobs that were submitted together; the entries of one array, or worker processes."""

    id: str
    stage: Stage
    cluster: Cluster
    n_jobs: int
    keys: list[list[str]] | None
    """Keys of the tasks of every job. None: shares of the tasks, which are planned when the store is complete."""
    phase: Literal["intent", "submitted"] = "intent"
    """intent: recorded, and perhaps submitted; its name tells, in the queue."""
    job_id: str | None = None
    host: str = ""
    pid: int = 0

    @property
    def job_name(self) -> str:
        """Name of its jobs; no other submission has it."""
        return f"{self.stage}-{self.id}"

    def keys_of(self, run: Run) -> list[list[str]]:
        """Return the keys of the tasks of every job."""
        if self.keys is None:
            return [run.share(job, self.n_jobs) for job in range(self.n_jobs)]
        return self.keys


def new_submission(stage: Stage, cluster: Cluster, n_jobs: int, keys: list[list[str]] | None = None) -> Submission:
    """Return a submission with a name of its own."""
    name = f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:8]}"
    return Submission(name, stage, cluster, n_jobs, keys, host=socket.gethostname(), pid=os.getpid())


def submission_folder(folder: Path, submission: str) -> Path:
    """Return the folder of a submission."""
    return folder / SUBMISSIONS / submission


def lock_of(folder: Path, submission: str) -> Path:
    """Return the file whose lock the launcher of worker processes holds while it lives."""
    return submission_folder(folder, submission) / "alive.lock"


def record_submission(folder: Path, submission: Submission) -> None:
    """Write the record of a submission."""
    write_json(submission_folder(folder, submission.id) / RECORD, asdict(submission))


def read_submissions(folder: Path) -> list[Submission]:
    """Return the submissions of a folder, from the first to the last."""
    records = sorted((folder / SUBMISSIONS).glob(f"*/{RECORD}"))
    return [Submission(**json.loads(record.read_text())) for record in records]


def ask_about(submissions: list[Submission]) -> Queue | None:
    """Return what Slurm knows of the jobs of some submissions; None while it does not answer."""
    return ask_queue(submission.job_name for submission in submissions if submission.cluster == "slurm")


def live_submissions(folder: Path) -> list[Submission]:
    """Return the submissions that run or will run, with their job ids.

    Raises
    ------
    TaskError
        When Slurm does not answer.
    """
    submissions = read_submissions(folder)
    queue = ask_about(submissions)
    if queue is None:
        raise TaskError(no_answer(folder))
    return [_with_job_id(submission, queue) for submission in submissions if is_live(folder, submission, queue)]


def is_live(folder: Path, submission: Submission, queue: Queue) -> bool:
    """Whether a submission runs or will run."""
    if submission.cluster != "slurm":
        return is_locked(lock_of(folder, submission.id))
    return any(job.is_live for job in queue.get(submission.job_name, {}).values())


def no_answer(folder: Path) -> str:
    """Say that it is not known what runs, and what to do."""
    return (
        "Slurm does not answer, so it is not known which tasks are queued or running, and nothing was submitted. "
        f"Try again later; if the jobs are gone for good, delete {folder / SUBMISSIONS}."
    )


def _with_job_id(submission: Submission, queue: Queue) -> Submission:
    """Fill in the job id that a launcher which was killed did not live to record."""
    ids = [job.id.split("_")[0] for job in queue.get(submission.job_name, {}).values()]
    return replace(submission, job_id=ids[0]) if ids else submission
