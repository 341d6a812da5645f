"""Submissions: tasks that were handed over to Slurm, or to processes of this machine.

The record of a submission is written before its tasks are handed over, so that no later command hands them over
again.
"""

from __future__ import annotations

import os
import re
import socket
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal, cast

from msgspec import Meta

from probing_datasets.foundation.errors import DamagedFileError
from probing_datasets.foundation.files.regular_files import names_in
from probing_datasets.foundation.files.sealed_json import read_sealed, write_sealed
from sparse_probing.config import Cluster, ShareConfig
from sparse_probing.runs.locks import is_locked
from sparse_probing.runs.planning.run_record import Run
from sparse_probing.runs.warn_once import warn_once

SUBMISSIONS = "submissions"
RECORD = "submission.json"
LOGS = "logs"
END_OF_LOG = 2**20
"""Bytes that are read of the end of a log: a job may have written gigabytes."""
ALIVE = "alive.lock"
LAUNCH_LOCK = "launch.lock"
"""A launch holds this lock while it decides which tasks it submits."""

MAX_JOBS = 4_000_001
"""Largest array that any Slurm accepts; processes of this machine count one job for each task."""

Stage = Literal["harvest", "probe"]
Phase = Literal["intent", "submitted", "ended", "cancelled"]
JobFile = Literal["log.out", "ended"]
JOB_FILE_NAME = re.compile(r"\d+(?:_(?P<entry>\d+))?_0_(?P<kind>log\.out|ended)")
"""Files of a job, as submitit names its logs: ``12_0_log.out`` of a job, ``12_3_0_log.out`` of an entry of an array."""


ID = re.compile(r"(?P<stage>harvest|probe)-\d{8}T\d{12}-[0-9a-f]{8}")


@dataclass(frozen=True)
class Submission:
    """Jobs that were submitted together: the entries of one array, or tasks of this machine's processes."""

    id: str
    """Name of its folder and of its Slurm jobs; no other submission has the same name."""
    stage: Stage
    cluster: Cluster
    n_jobs: Annotated[int, Meta(ge=0, le=MAX_JOBS)]
    """0: which tasks it has is not known, because its record was damaged."""
    keys: list[list[str]] | None
    """Keys of the tasks of every job. None: every job does its share of the tasks of a run that it creates itself."""
    phase: Phase = "intent"
    """intent: Slurm may have the array or not; its name in the queue decides. submitted: handed over. ended: the
    process that ran the tasks ended in good order. cancelled: by the command ``cancel``."""
    job_id: str | None = None
    host: str = ""
    pid: int = 0

    def __post_init__(self) -> None:
        if self.keys is not None and len(self.keys) != self.n_jobs:
            raise ValueError(f"{self.n_jobs} jobs, but tasks of {len(self.keys)}")

    @property
    def is_damaged(self) -> bool:
        """Whether only its name is known, because its record was damaged."""
        return self.n_jobs == 0

    def keys_of(self, run: Run) -> list[list[str]]:
        """Return the keys of the tasks of every job; of jobs that share tasks, only those that get one."""
        if self.keys is None:
            keys = list(run.tasks)
            return [list(ShareConfig(job, self.n_jobs).of(keys)) for job in range(min(self.n_jobs, len(keys)))]
        return self.keys

    def job_of(self, entry: int) -> str | None:
        """Return the id of the Slurm job that is an entry of the array; None where it is not known."""
        return f"{self.job_id}_{entry}" if self.job_id and self.n_jobs > 1 else self.job_id


def new_submission(stage: Stage, cluster: Cluster, n_jobs: int, keys: list[list[str]] | None = None) -> Submission:
    """Return a submission of this process with a new name."""
    # Later names of a stage sort after earlier ones.
    name = f"{stage}-{datetime.now(UTC):%Y%m%dT%H%M%S%f}-{uuid.uuid4().hex[:8]}"
    return Submission(name, stage, cluster, n_jobs, keys, host=socket.gethostname(), pid=os.getpid())


def submission_folder(folder: Path, submission: Submission) -> Path:
    """Return the folder of a submission."""
    return folder / SUBMISSIONS / submission.id


def alive_lock(folder: Path, submission: Submission) -> Path:
    """Return the file whose lock the process that runs the tasks of a submission holds while it lives."""
    return submission_folder(folder, submission) / ALIVE


def is_alive(folder: Path, submission: Submission) -> bool:
    """Whether the process that runs the tasks of a submission on this machine lives."""
    return is_locked(alive_lock(folder, submission))


def record_submission(folder: Path, submission: Submission) -> None:
    """Write the record of a submission."""
    write_sealed(submission_folder(folder, submission) / RECORD, submission)


def read_submissions(folder: Path) -> list[Submission]:
    """Return the submissions of a folder, from the first to the last.

    Of a submission whose record is damaged, its folder gives the name, by which its jobs are found and cancelled.
    """
    names = filter(ID.fullmatch, names_in(folder / SUBMISSIONS))
    submissions = [_read_submission(folder / SUBMISSIONS / name) for name in names]
    return [submission for submission in submissions if submission is not None]


def _read_submission(place: Path) -> Submission | None:
    try:
        submission = read_sealed(place / RECORD, Submission, "")
        if submission.id == place.name:
            return submission
        error = f"{place / RECORD} is about the submission {submission.id}."
    except FileNotFoundError:
        if not (place / LOGS).exists():  # nothing was handed over: the record is written first
            return None
        error = f"{place / RECORD} is missing."
    except (OSError, DamagedFileError) as damage:
        error = str(damage).rstrip()
    warn_once(f"{error} Its jobs are found by their name.")
    stage = cast(Stage, place.name.split("-")[0])
    cluster: Cluster = "local" if (place / ALIVE).exists() else "slurm"
    return Submission(place.name, stage, cluster, 0, [], "submitted", host="(unknown)")


def job_files(folder: Path, submission: Submission, kind: JobFile) -> dict[int, Path]:
    """Return the files that the jobs of a submission left, by the index of the job in its array.

    Parameters
    ----------
    folder : Path
        Folder of the settings, or of the harvest.
    submission : Submission
    kind : {'log.out', 'ended'}
        The log of a job, or the mark that its program ended in good order.
    """
    logs = submission_folder(folder, submission) / LOGS
    matches = [match for match in map(JOB_FILE_NAME.fullmatch, names_in(logs)) if match and match["kind"] == kind]
    return {int(match["entry"] or 0): logs / match[0] for match in matches}


def mark_ended(logs: Path, job_id: str) -> None:
    """Record that the program of a job ended in good order: it attempted every task that it was given."""
    (logs / f"{job_id}_0_ended").touch()
