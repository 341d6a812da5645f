"""Launch a run: do those of its tasks that are not done and that nobody is at, here or on the cluster."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass

from tqdm import tqdm

from probing_datasets.foundation.errors import TaskError
from sparse_probing.config import ProbingConfig
from sparse_probing.runs.local_workers import RUNNERS
from sparse_probing.runs.locks import locked
from sparse_probing.runs.planning.create_run import create_run
from sparse_probing.runs.planning.run import Run, settings_folder
from sparse_probing.runs.slurm.arrays import draft_tasks, hand_over
from sparse_probing.runs.slurm.submissions import (
    LAUNCH_LOCK,
    Submission,
    lock_of,
    new_submission,
    no_answer,
    record_submission,
)
from sparse_probing.runs.status.status import LIVE, OPEN, RunStatus, TaskStatus, run_status
from sparse_probing.runs.status.waiting import wait_for_submissions, wait_for_tasks
from sparse_probing.runs.tasks.results import finished_tasks

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Launch:
    """What a launch came to."""

    run: Run | None
    """None when its tasks are planned by the jobs, as soon as the store is complete."""
    submissions: list[Submission]
    """What was submitted to Slurm."""
    ended: bool
    """Whether all tasks of this process have ended, well or not."""
    problems: list[str]
    """What failed, in sentences."""

    @property
    def can_report(self) -> bool:
        """Whether there are results, and no other process that will have more; the last of an array reports."""
        if self.run is None or not self.ended:
            return False
        finished = finished_tasks(self.run.path, self.run.tasks)
        return bool(finished) and (self.run.config.share.world_size == 1 or len(finished) == len(self.run.tasks))


def run_probing(config: ProbingConfig) -> Run:
    """Run stage 2: do the tasks of a configuration that are not done, and wait for them.

    Returns
    -------
    Run
        The run; `sparse_probing.runs.load_results` reads its rows.

    Raises
    ------
    StoreError, DatasetError
        When the inputs are missing or do not fit.
    TaskError
        When tasks or features failed, naming each; finished results are kept. Or when Slurm does not answer.
    """
    launched = launch(config.with_flags(wait=True))
    raise_problems(launched.problems)
    return launched.run or create_run(config)


def launch(config: ProbingConfig, say: Callable[[str], object] = logger.info) -> Launch:
    """Do what `run_probing` does, but return what failed; on Slurm wait only with ``config.execution.wait``.

    Parameters
    ----------
    config : ProbingConfig
    say : callable
        Is told what was submitted, before any waiting.
    """
    return _launch_on_slurm(config, say) if config.execution.cluster == "slurm" else _launch_here(config)


def raise_problems(problems: list[str]) -> None:
    """Raise TaskError with the problems of a run, when there are any."""
    if not problems:
        return
    hint = " Tasks that failed are tried again with --retry_failed." if any(map(_is_task, problems)) else ""
    raise TaskError(f"{len(problems)} parts of the run failed; the others are kept.{hint}\n" + "\n".join(problems))


def _launch_here(config: ProbingConfig) -> Launch:
    if config.harvest_first.harvest:
        from sparse_probing.runs.slurm.harvest_for_probing import harvest_here  # here: stage 1 takes seconds to import

        harvest_here(config)
    run = create_run(config)
    with ExitStack() as alive:
        with locked(run.folder / LAUNCH_LOCK):
            keys = _keys_to_do(run, config)
            submission = new_submission("probe", config.execution.cluster, len(keys), [[key] for key in keys])
            if keys:
                record_submission(run.folder, submission)
                alive.enter_context(locked(lock_of(run.folder, submission.id)))
        ended = RUNNERS[config.execution.cluster](run, keys, submission.id) if keys else iter(())
        for _ in tqdm(ended, total=len(keys), desc=", ".join(config.experiment_type), unit=" tasks", disable=None):
            pass
    return _ended(run, config, [])


def _launch_on_slurm(config: ProbingConfig, say: Callable[[str], object]) -> Launch:
    if config.harvest_first.harvest or config.slurm.after:
        from sparse_probing.runs.slurm.both_stages import submit_chain  # here: stage 1 takes seconds to import
        from sparse_probing.runs.slurm.harvest_for_probing import open_harvests

        if lacking := open_harvests(config):
            return _chained(config, submit_chain(config, lacking), say)
    run = create_run(config)
    with locked(run.folder / LAUNCH_LOCK):
        keys = _keys_to_do(run, config)
        submissions = [hand_over(draft_tasks(run, keys, config), config)] if keys else []
    if not run_status(run).keys(*LIVE):
        return _ended(run, config, submissions)
    say(_what_was_submitted(submissions, f"--run {run.path}"))
    return _ended(run, config, submissions) if config.execution.wait else Launch(run, submissions, False, [])


def _chained(config: ProbingConfig, submissions: list[Submission], say: Callable[[str], object]) -> Launch:
    say(_what_was_submitted(submissions, "the same flags"))
    if not config.execution.wait:
        return Launch(None, submissions, False, [])
    wait_for_submissions(settings_folder(config))
    return _ended(create_run(config), config, submissions)


def _what_was_submitted(submissions: list[Submission], named: str) -> str:
    lines = [f"submitted {each.job_name}: {each.n_jobs} jobs, as job {each.job_id}" for each in submissions]
    lines = lines or ["nothing was submitted: all that is to be done is queued or running"]
    return "\n".join([*lines, f"look after it: python probing_experiment.py status, logs KEY or cancel, with {named}"])


def _keys_to_do(run: Run, config: ProbingConfig) -> list[str]:
    """Return the tasks of this process that are not done and that nobody is at."""
    status = run_status(run)
    if status.keys("unknown"):
        raise TaskError(no_answer(run.folder))
    wanted = set(status.keys(*OPEN, *(("failed",) if config.execution.retry_failed else ())))
    keys = [key for key in run.share(config.share.rank, config.share.world_size) if key in wanted]
    logger.info("%d tasks, %d to do, in %s", len(run.tasks), len(keys), run.path)
    return keys


def _ended(run: Run, config: ProbingConfig, submissions: list[Submission]) -> Launch:
    keys = run.share(config.share.rank, config.share.world_size)
    return Launch(run, submissions, True, _problems(wait_for_tasks(run, keys), keys))


def _problems(status: RunStatus, keys: Iterable[str]) -> list[str]:
    problems = []
    for key in keys:
        task, found = status.run.tasks[key], status.tasks[key]
        if found.state != "done":
            problems.append(f"task {key} ({task}): {_reason(found)}")
        problems += [f"{task}, feature {feature}: {reason}" for feature, reason in found.failed_features]
    return problems


def _reason(status: TaskStatus) -> str:
    if status.state == "failed":
        return status.message
    return f"{status.state}. The same command does it again."


def _is_task(problem: str) -> bool:
    return problem.startswith("task ")
