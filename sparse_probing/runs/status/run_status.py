"""The state of every task of a run: from published results, records of attempts, and one question to Slurm."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from sparse_probing.runs.planning.run_record import Run
from sparse_probing.runs.slurm.squeue import Job, ask_about, is_live
from sparse_probing.runs.status.deaths import Death, find_deaths
from sparse_probing.runs.submissions import Submission, is_alive, read_submissions
from sparse_probing.runs.tasks.attempt_records import Attempt, last_attempts
from sparse_probing.runs.tasks.published_results import CheckedResult, check_results

State = Literal["done", "running", "pending", "failed", "lost", "died", "corrupt", "todo", "unknown"]
"""The state of a task.

done: its result is published and intact. running: a process works on it. pending: a job will run it.
failed: it raised an error. lost: it started, and its process ended without a result. died: its job ended before
the task began. corrupt: its result is damaged. todo: it was never started. unknown: a job may run it, because Slurm
does not answer, or because the record of a submission is damaged whose jobs run.
"""
STATES: tuple[State, ...] = get_args(State)
OPEN: tuple[State, ...] = ("todo", "lost", "died", "corrupt")
"""States of the tasks that the next launch runs."""
LIVE: tuple[State, ...] = ("running", "pending")


@dataclass(frozen=True)
class TaskStatus:
    """The state of one task."""

    state: State
    job: str | None = None
    """The Slurm job that runs it, will run it, or was the last to run it."""
    message: str = ""
    """Why it failed or died, why Slurm lets it wait, or why its state is unknown."""
    log: Path | None = None
    """Log of the job that died before the task began."""
    n_deaths: int = 0
    """How many of its last submissions, one after the other, died before the task began."""
    failed_features: tuple[tuple[str, str], ...] = ()
    """Features of a finished task that could not be probed, and why."""
    n_rows: int = 0
    """Rows of results of a finished task."""

    def to_json(self) -> dict[str, Any]:
        """Return the state as JSON values."""
        return {
            "state": self.state,
            "job": self.job,
            "message": self.message,
            "log": self.log and str(self.log),
            "failed_features": dict(self.failed_features),
        }


@dataclass(frozen=True)
class RunStatus:
    """The states of the tasks of a run, by key."""

    run: Run
    tasks: dict[str, TaskStatus]
    seconds: dict[str, float]
    """How long each finished task took."""

    def keys(self, *states: State) -> list[str]:
        """Return the keys of the tasks in some states."""
        return [key for key, task in self.tasks.items() if task.state in states]

    @property
    def counts(self) -> dict[State, int]:
        """Number of tasks in each state."""
        counts = Counter(task.state for task in self.tasks.values())
        return {state: counts[state] for state in STATES}

    @property
    def all_done(self) -> bool:
        """Whether every task has an intact result."""
        return self.counts["done"] == len(self.tasks)

    def to_json(self) -> dict[str, Any]:
        """Return the states as JSON values."""
        tasks = [
            {"key": key, "study": task.study, "layer": task.layer, "features": list(task.features)} | status.to_json()
            for (key, task), status in zip(self.run.tasks.items(), self.tasks.values(), strict=True)
        ]
        return {"run": str(self.run.path), "counts": self.counts, "tasks": tasks}


@dataclass(frozen=True)
class LiveJob:
    """A job that runs a task or will run it; or a submission that may, while Slurm does not answer."""

    submission: Submission
    job: Job | None
    """None: processes of this machine, or a submission that nothing is known about."""
    is_known: bool = True


def run_status(run: Run, read_all: bool = False) -> RunStatus:
    """Return the state of every task of a run.

    Slurm is not asked when all tasks are done.

    Parameters
    ----------
    run : Run
    read_all : bool
        Read every result, and not only those whose files changed.
    """
    results = check_results(run.path, run.tasks, read_all)
    attempts: dict[str, Attempt] = {}
    live_jobs: dict[str, LiveJob] = {}
    deaths: dict[str, Death] = {}
    if sum(result.intact for result in results.values()) < len(run.tasks):
        # In this order, so that no state is wrong when a task starts or ends meanwhile. A task that is not live
        # can only be lost when its attempt began before its job was seen to have ended, and is still on record
        # after that; and it has died only when there is no attempt on record after that.
        earlier_attempts = last_attempts(run.path, run.tasks.keys())
        submissions = [each for each in read_submissions(run.folder) if each.stage == "probe"]
        live_jobs = _find_live_jobs(run, submissions)
        attempts = last_attempts(run.path, run.tasks.keys())
        results = check_results(run.path, run.tasks)
        deaths = find_deaths(run, submissions, live_jobs.keys() | results.keys(), attempts)
        attempts = {
            key: attempt
            for key, attempt in attempts.items()
            if key in live_jobs or attempt.message or attempt == earlier_attempts.get(key)
        }
    tasks = {
        key: _task_status(results.get(key), live_jobs.get(key), attempts.get(key), deaths.get(key)) for key in run.tasks
    }
    return RunStatus(run, tasks, {key: result.seconds for key, result in results.items() if result.intact})


def _find_live_jobs(run: Run, submissions: list[Submission]) -> dict[str, LiveJob]:
    """Return who runs the tasks or will run them, by key; of several submissions the last."""
    queue = ask_about(submissions)
    live_jobs: dict[str, LiveJob] = {}
    # First those that may run any task, so that what is known about a task replaces it.
    for submission in sorted(submissions, key=lambda submission: not submission.is_damaged):
        if submission.is_damaged:
            if queue is None or is_live(run.folder, submission, queue):
                live_jobs |= dict.fromkeys(run.tasks, LiveJob(submission, None, is_known=False))
            continue
        keys = submission.keys_of(run)
        entries: dict[int, LiveJob] = {}
        if submission.cluster != "slurm":
            if is_alive(run.folder, submission):
                entries = {entry: LiveJob(submission, None) for entry in range(len(keys))}
        elif queue is None:
            entries = {entry: LiveJob(submission, None, is_known=False) for entry in range(len(keys))}
        else:
            jobs = queue.get(submission.id, {})
            entries = {i: LiveJob(submission, job) for i, job in jobs.items() if job.is_live and i < len(keys)}
        live_jobs |= {key: live_job for entry, live_job in entries.items() for key in keys[entry]}
    return live_jobs


def _task_status(
    result: CheckedResult | None, live_job: LiveJob | None, attempt: Attempt | None, death: Death | None
) -> TaskStatus:
    if result is not None and result.intact:
        failed_features = tuple(sorted(result.failed_features.items()))
        return TaskStatus("done", failed_features=failed_features, n_rows=result.n_rows)
    if live_job is not None:
        is_of_this_job = attempt is not None and attempt.submission == live_job.submission.id
        return _live_status(live_job, attempt if is_of_this_job else None)
    if result is not None:
        return TaskStatus("corrupt")
    if death is not None:
        return TaskStatus("died", death.job, death.message, death.log, death.n_deaths)
    if attempt is None:
        return TaskStatus("todo")
    return TaskStatus("failed" if attempt.message else "lost", attempt.job, attempt.message)


def _why_unknown(submission: Submission) -> str:
    if not submission.is_damaged:
        return ""
    return (
        f"The record of {submission.id} is damaged, and its jobs are queued or running: it is unknown which tasks "
        "they run. Wait for their end, or stop them with `cancel`."
    )


def _live_status(live_job: LiveJob, attempt: Attempt | None) -> TaskStatus:
    """Return the state of a task whose job is live; ``attempt`` is the one in that job."""
    if attempt is not None and attempt.message:
        return TaskStatus("failed", attempt.job, attempt.message)
    if not live_job.is_known:
        return TaskStatus("unknown", message=_why_unknown(live_job.submission))
    if live_job.job is None:
        return TaskStatus("running" if attempt else "pending")
    if live_job.job.is_running and attempt is not None:
        return TaskStatus("running", live_job.job.id)
    return TaskStatus("pending", live_job.job.id, "" if live_job.job.is_running else live_job.job.reason)
