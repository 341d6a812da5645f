"""Tasks whose job ended before they began: a failed import, too little memory at the start, a changed calls.json."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from probing_datasets.foundation.files.regular_files import read_end
from sparse_probing.runs.planning.run_record import Run
from sparse_probing.runs.submissions import END_OF_LOG, Submission, job_files
from sparse_probing.runs.tasks.attempt_records import Attempt


@dataclass(frozen=True)
class Death:
    """The job that was the last to be given a task, and ended before the task began."""

    job: str | None
    message: str
    log: Path | None
    n_deaths: int = 1
    """How many of the last submissions of the task, one after the other, ended before their job began any task."""


def find_deaths(
    run: Run, submissions: list[Submission], settled_keys: Collection[str], attempts: Mapping[str, Attempt]
) -> dict[str, Death]:
    """Return the tasks whose last job ended before they began, by key.

    A task has died when its last submission is over, its job did not end in good order, and has no attempt at the
    task on record. Submissions that the command ``cancel`` ended do not count.

    Parameters
    ----------
    run : Run
    submissions : list of Submission
        All submissions of the settings of the run, from the first to the last.
    settled_keys : collection of str
        Tasks that have a result, or that a job runs, will run, or may run because Slurm does not answer.
    attempts : mapping
        Last attempt at each task that is on record, read after the question which jobs are live.
    """
    deaths: dict[str, Death] = {}
    settled = set(settled_keys)
    for submission in reversed(submissions):
        if submission.phase == "cancelled" or settled >= run.tasks.keys():
            continue
        keys_of_entries = submission.keys_of(run)
        deaths_of_jobs = _deaths_of_jobs(run.folder, submission, len(keys_of_entries))
        began = {key for key, attempt in attempts.items() if attempt.submission == submission.id}
        for entry, keys in enumerate(keys_of_entries):
            # A job that began a task started well: it says nothing about whether the next one will. Processes of this
            # machine ran the tasks of all entries together.
            started_well = bool(began) if submission.cluster != "slurm" else not began.isdisjoint(keys)
            for key in set(keys) - settled:
                if key in began or entry not in deaths_of_jobs:
                    settled.add(key)
                elif started_well:
                    deaths.setdefault(key, replace(deaths_of_jobs[entry], n_deaths=0))
                    settled.add(key)
                elif key in deaths:
                    deaths[key] = replace(deaths[key], n_deaths=deaths[key].n_deaths + 1)
                else:
                    deaths[key] = deaths_of_jobs[entry]
    return deaths


def _deaths_of_jobs(folder: Path, submission: Submission, n_entries: int) -> dict[int, Death]:
    """Return how those of the first jobs ended that left no mark of a good end, by their index in the array."""
    if submission.cluster != "slurm":
        process = f"Process {submission.pid} on host {submission.host}"
        workers = " or one of its worker processes" if submission.cluster == "local" else ""
        message = f"{process}{workers} ended before the task began."
        has_died = submission.phase == "submitted"
        return dict.fromkeys(range(n_entries), Death(None, message, None)) if has_died else {}
    ended, logs = job_files(folder, submission, "ended"), job_files(folder, submission, "log.out")
    deaths: dict[int, Death] = {}
    for entry in set(range(n_entries)) - ended.keys():
        job, log = submission.job_of(entry), logs.get(entry)
        name = f"Its job {job}" if job else "Its job"
        if log is not None:
            deaths[entry] = Death(job, f"{name} ended before the task began. Log: {log}", log)
        elif submission.phase == "submitted":
            reason = "it never started, or was cancelled in Slurm"
            deaths[entry] = Death(job, f"{name} ended before the task began and left no log: {reason}.", None)
    return deaths


def last_line(log: Path) -> str:
    """Return the last line of a log that is not a remark of srun about the end of the job."""
    try:
        end, _ = read_end(log, END_OF_LOG)
    except (OSError, ValueError) as error:
        return f"(it cannot be read: {error})"
    lines = [line.strip() for line in end.decode(errors="replace").splitlines() if line.strip()]
    own_lines = [line for line in lines if not line.startswith("srun: ")]
    return (own_lines or lines or ["(empty)"])[-1]
