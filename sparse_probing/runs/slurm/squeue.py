"""What Slurm reports about our jobs, from one ``squeue`` and without accounting; and how jobs are cancelled."""

from __future__ import annotations

import logging
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from probing_datasets.foundation.errors import TaskError
from sparse_probing.runs.submissions import SUBMISSIONS, Submission, is_alive, read_submissions

logger = logging.getLogger(__name__)

FIELDS = "%j|%K|%i|%T|%r"
"""Name, index in the array, id, state and reason."""
PATIENCE_SECONDS = 60

ENDED = (
    "BOOT_FAIL",
    "CANCELLED",
    "COMPLETED",
    "DEADLINE",
    "FAILED",
    "NODE_FAIL",
    "OUT_OF_MEMORY",
    "PREEMPTED",
    "REVOKED",
    "TIMEOUT",
)
"""States of a job that will not run again."""
WAITING = ("CONFIGURING", "PENDING", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "RESV_DEL_HOLD", "SPECIAL_EXIT")


@dataclass(frozen=True)
class Job:
    """A job, or an entry of an array."""

    id: str
    state: str
    reason: str

    @property
    def is_live(self) -> bool:
        """Whether it runs or will run."""
        return self.state not in ENDED

    @property
    def is_running(self) -> bool:
        """Whether it has a node."""
        return self.is_live and self.state not in WAITING


Queue = dict[str, dict[int, Job]]
"""Jobs by name and by index in the array, 0 where there is no array."""


def ask_queue(names: Iterable[str]) -> Queue | None:
    """Return the jobs of these names, as far as Slurm remembers them; None while it does not answer."""
    sorted_names = sorted(names)
    if not sorted_names:
        return {}
    command = ["squeue", "--noheader", "--array", "--states=all", f"--format={FIELDS}"]
    command.append(f"--name={','.join(sorted_names)}")
    try:
        answer = subprocess.run(command, capture_output=True, text=True, check=True, timeout=PATIENCE_SECONDS)
    except (OSError, subprocess.SubprocessError) as error:
        logger.warning("squeue does not answer: %s", _reason(error))
        return None
    queue: Queue = {}
    for name, index, *job in (line.split("|") for line in answer.stdout.splitlines()):
        queue.setdefault(name, {})[int(index) if index.isdecimal() else 0] = Job(*job)
    return queue


def ask_about(submissions: Iterable[Submission]) -> Queue | None:
    """Return the Slurm jobs of these submissions; None while Slurm does not answer."""
    return ask_queue(submission.id for submission in submissions if submission.cluster == "slurm")


def is_live(folder: Path, submission: Submission, queue: Queue) -> bool:
    """Whether tasks of a submission run or will run."""
    if submission.cluster != "slurm":
        return is_alive(folder, submission)
    return any(job.is_live for job in queue.get(submission.id, {}).values())


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
    live = [submission for submission in submissions if is_live(folder, submission, queue)]
    # A launcher that was killed right after sbatch has not recorded the job id; the queue has it.
    ids = [[job.id.split("_")[0] for job in queue.get(submission.id, {}).values()] for submission in live]
    return [replace(each, job_id=job_ids[0]) if job_ids else each for each, job_ids in zip(live, ids, strict=True)]


def no_answer(folder: Path) -> str:
    """Return the error for a launch while it is unknown which tasks run."""
    return (
        "Slurm does not answer, so it is unknown which tasks are queued or running, and nothing was submitted. "
        f"Try again later. If the jobs no longer exist, delete {folder / SUBMISSIONS}."
    )


def cancel_jobs(name: str) -> None:
    """Cancel the jobs of a name.

    Raises
    ------
    TaskError
        When Slurm does not answer.
    """
    try:
        subprocess.run(["scancel", f"--name={name}"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise TaskError(f"The jobs {name} could not be cancelled: {_reason(error)}") from error


def _reason(error: OSError | subprocess.SubprocessError) -> str:
    return (getattr(error, "stderr", None) or str(error)).strip()
