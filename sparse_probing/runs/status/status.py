"""The state of every task of a run: from published results, records of attempts, and one question to Slurm."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, get_args

from sparse_probing.runs.locks import is_locked
from sparse_probing.runs.planning.run import Run
from sparse_probing.runs.slurm.squeue import Job, Queue
from sparse_probing.runs.slurm.submissions import Submission, ask_about, lock_of, read_submissions
from sparse_probing.runs.tasks.attempts import Attempt, last_attempts
from sparse_probing.runs.tasks.results import CheckedResult, check_results

State = Literal["done", "running", "pending", "failed", "lost", "corrupt", "todo", "unknown"]
"""Where a task stands.

done: its result is published and intact. running, pending: a job, or a worker process, is at it or will be.
failed: it raised an error. lost: it was begun, and ended without a result. corrupt: its result is damaged.
todo: nothing was done. unknown: it was submitted, and Slurm does not answer.
"""
STATES: tuple[State, ...] = get_args(State)
OPEN: tuple[State, ...] = ("todo", "lost", "corrupt")
"""States of the tasks that the next launch does."""
LIVE: tuple[State, ...] = ("running", "pending")


@dataclass(frozen=True)
class TaskStatus:
    """Where a task stands."""

    state: State
    job: str | None = None
    """The Slurm job that has it, or had it last."""
    message: str = ""
    """Why it failed, or why Slurm lets it wait."""
    failed_features: tuple[tuple[str, str], ...] = ()
    """Features of a finished task that could not be probed, and why."""


@dataclass(frozen=True)
class RunStatus:
    """Where the tasks of a run stand, by key."""

    run: Run
    tasks: dict[str, TaskStatus]
    seconds: dict[str, float]
    """What finished tasks took."""

    def keys(self, *states: State) -> list[str]:
        """Return the keys of the tasks in some states."""
        return [key for key, task in self.tasks.items() if task.state in states]

    @property
    def counts(self) -> dict[State, int]:
        """Number of tasks in each state."""
        found = Counter(task.state for task in self.tasks.values())
        return {state: found[state] for state in STATES}

    @property
    def all_done(self) -> bool:
        """Whether every task has an intact result."""
        return self.counts["done"] == len(self.tasks)

    def to_json(self) -> dict[str, Any]:
        """Return what is known as JSON."""
        tasks = [
            {"key": key, "study": task.study, "layer": task.layer, "features": list(task.features)} | _json(status)
            for (key, task), status in zip(self.run.tasks.items(), self.tasks.values(), strict=True)
        ]
        return {"run": str(self.run.path), "counts": self.counts, "tasks": tasks}


@dataclass(frozen=True)
class _Holder:
    """Who has a task: a live submission, or one of which nothing is known."""

    submission: Submission
    job: Job | None
    known: bool = True


def run_status(run: Run) -> RunStatus:
    """Return where every task of a run stands.

    Nothing is asked of Slurm when all tasks are done.
    """
    verdicts = check_results(run.path, run.tasks)
    attempts: dict[str, Attempt] = {}
    holders: dict[str, _Holder] = {}
    if sum(verdict.intact for verdict in verdicts.values()) < len(run.tasks):
        # In this order, so that a task that ends meanwhile is never taken for lost.
        attempts = last_attempts(run.path, run.tasks.keys())
        holders = _holders(run)
        verdicts = check_results(run.path, run.tasks)
    tasks = {key: _task_status(verdicts.get(key), holders.get(key), attempts.get(key)) for key in run.tasks}
    return RunStatus(run, tasks, {key: verdict.seconds for key, verdict in verdicts.items() if verdict.intact})


def _holders(run: Run) -> dict[str, _Holder]:
    submissions = [submission for submission in read_submissions(run.folder) if submission.stage == "probe"]
    queue = ask_about(submissions)
    return {
        key: holder
        for submission in submissions
        for index, holder in _live_jobs(run, submission, queue)
        for key in submission.keys_of(run)[index]
    }


def _live_jobs(run: Run, submission: Submission, queue: Queue | None) -> Iterator[tuple[int, _Holder]]:
    if submission.cluster != "slurm":
        if is_locked(lock_of(run.folder, submission.id)):
            yield from ((index, _Holder(submission, None)) for index in range(submission.n_jobs))
    elif queue is None:
        yield from ((index, _Holder(submission, None, known=False)) for index in range(submission.n_jobs))
    else:
        jobs = queue.get(submission.job_name, {})
        yield from ((index, _Holder(submission, job)) for index, job in jobs.items() if job.is_live)


def _task_status(verdict: CheckedResult | None, holder: _Holder | None, attempt: Attempt | None) -> TaskStatus:
    if verdict is not None and verdict.intact:
        return TaskStatus("done", failed_features=tuple(sorted(verdict.failed_features.items())))
    if holder is not None:
        return _held(holder, attempt if attempt and attempt.submission == holder.submission.id else None)
    if verdict is not None:
        return TaskStatus("corrupt")
    if attempt is None:
        return TaskStatus("todo")
    return TaskStatus("failed" if attempt.message else "lost", attempt.job, attempt.message)


def _held(holder: _Holder, attempt: Attempt | None) -> TaskStatus:
    """Where a task stands whose job is live; ``attempt`` is the one in that job."""
    if attempt is not None and attempt.message:
        return TaskStatus("failed", attempt.job, attempt.message)
    if not holder.known:
        return TaskStatus("unknown")
    if holder.job is None:
        return TaskStatus("running" if attempt else "pending")
    if holder.job.is_running and attempt is not None:
        return TaskStatus("running", holder.job.id)
    return TaskStatus("pending", holder.job.id, "" if holder.job.is_running else holder.job.reason)


def _json(status: TaskStatus) -> dict[str, Any]:
    return {
        "state": status.state,
        "job": status.job,
        "message": status.message,
        "failed_features": dict(status.failed_features),
    }
