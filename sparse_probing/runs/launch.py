"""Launch a run: run every task that is neither finished nor running, here or on Slurm."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from probing_datasets.foundation.errors import TaskError
from probing_datasets.foundation.printable import printable
from sparse_probing.config import ProbingConfig, ShareConfig
from sparse_probing.runs.choose_tasks import open_tasks
from sparse_probing.runs.executors import executor_of
from sparse_probing.runs.locks import locked
from sparse_probing.runs.planning.create_run import create_run
from sparse_probing.runs.planning.run_record import Run, settings_folder
from sparse_probing.runs.slurm.squeue import live_submissions
from sparse_probing.runs.status.deaths import last_line
from sparse_probing.runs.status.run_status import LIVE, RunStatus, run_status
from sparse_probing.runs.status.waiting import wait_for_submissions
from sparse_probing.runs.submissions import LAUNCH_LOCK, Submission

logger = logging.getLogger(__name__)

Show = Callable[[str], object]

MOST_FAILURES = 20
"""Lines of an error; a feature that cannot be probed often fails in every layer."""


def run_probing(config: ProbingConfig) -> Run:
    """Run stage 2: run every task of a configuration that is neither finished nor running, and wait for all tasks.

    Returns
    -------
    Run
        The run; `sparse_probing.runs.load_results` reads its rows.

    Raises
    ------
    StoreError, DatasetError
        When the inputs are missing, or do not belong together.
    TaskError
        When tasks or features failed; the message names each of them, and finished results are kept. Or when
        Slurm does not answer.
    """
    status = launch(config.with_flags(wait=True))
    if status is None:
        raise AssertionError("A launch that waits returns the states of its tasks.")
    raise_failures(status, config.share.of(list(status.run.tasks)))
    return status.run


def launch(config: ProbingConfig, show: Show = logger.info) -> RunStatus | None:
    """Do what `run_probing` does, but return what failed; on Slurm wait only with ``config.execution.wait``.

    Parameters
    ----------
    config : ProbingConfig
    show : callable
        Receives the text about what was submitted to Slurm, before the wait.

    Returns
    -------
    RunStatus or None
        The states of the tasks when all tasks of this process have ended; None when jobs still have to run them.
    """
    on_slurm = config.execution.cluster == "slurm"
    executor = executor_of(config.execution.cluster, config.execution, config.slurm)
    if on_slurm and (config.harvest_first.harvest or config.slurm.after):
        from sparse_probing.runs.harvest_first import missing_harvests  # here: stage 1 takes seconds to import
        from sparse_probing.runs.slurm.both_stages import submit_both_stages

        if harvests := missing_harvests(config):
            show(_describe(submit_both_stages(config, harvests), "the same flags"))
            if not config.execution.wait:
                return None
            wait_for_submissions(settings_folder(config))
            run = create_run(config)
            return executor.wait(run, list(run.tasks))
    elif config.harvest_first.harvest:
        from sparse_probing.runs.harvest_first import harvest_here

        harvest_here(config)

    run = create_run(config)
    keys = list(config.share.of(list(run.tasks)))
    with locked(run.folder / LAUNCH_LOCK):
        submission = executor.submit(run, open_tasks(run, keys, config.execution.retry_failed))
    status = run_status(run)
    if on_slurm and status.keys(*LIVE):
        show(_describe([submission] if submission else [], f"--run {run.path}"))
        if not config.execution.wait:
            return None
    submitted = {key for keys_of_job in submission.keys or () for key in keys_of_job} if submission else set()
    if elsewhere := (set(status.keys(*LIVE)) & set(keys)) - submitted:
        others = [each for each in live_submissions(run.folder) if each != submission]
        names = ", ".join(
            each.id if each.cluster == "slurm" else f"process {each.pid} on {each.host}" for each in others
        )
        show(f"{len(elsewhere)} of {len(keys)} tasks are queued or running elsewhere ({names}). Waiting for them.")
    return executor.wait(run, keys)


def describe_share(status: RunStatus, share: ShareConfig) -> str:
    """Return what one of several processes that share the tasks of a run has done, and what remains."""
    keys, done = share.of(list(status.run.tasks)), set(status.keys("done"))
    n_others = len(status.tasks) - len(keys) - len(done - {*keys})
    others = f"{n_others} tasks of other shares are not done" if n_others else "all tasks of other shares are done"
    origin = ""
    if share == ShareConfig() and share.world_size > 1:
        origin = " (from SLURM_ARRAY_TASK_ID; --rank 0 --world_size 1 runs all tasks)"
    return (
        f"share {share.rank + 1} of {share.world_size}{origin}: {len(done & {*keys})} of {len(keys)} tasks are done; "
        f"{others}. Run: {status.run.path}"
    )


def raise_failures(status: RunStatus, keys: Sequence[str]) -> None:
    """Raise TaskError that names the given tasks, and the features of these tasks, that failed, if there are any.

    Parameters
    ----------
    status : RunStatus
    keys : sequence of str
        Tasks of this process.
    """
    failures = []
    for key in keys:
        task, task_status = status.run.tasks[key], status.tasks[key]
        if task_status.state == "failed":
            failures.append(f"task {key} ({task}): {task_status.message}")
        elif task_status.state != "done":
            last = f" It ends with: {last_line(task_status.log)}" if task_status.log else ""
            reason = f"{task_status.state}. {task_status.message}{last}".rstrip(" .")
            failures.append(f"task {key} ({task}): {reason}. The same command runs it again.")
        failures += [f"{task}, feature {feature}: {reason}" for feature, reason in task_status.failed_features]
    if failures:
        n_more = len(failures) - MOST_FAILURES
        hint = " Use --retry_failed to run failed tasks again." if {*keys} & {*status.keys("failed")} else ""
        raise TaskError(
            f"{len(failures)} tasks or features failed; finished results are kept.{hint}\n"
            + "\n".join(printable(failure) for failure in failures[:MOST_FAILURES])
            + (f"\nand {n_more} more; `status --json` lists all of them" if n_more > 0 else "")
        )


def _describe(submissions: list[Submission], flags: str) -> str:
    """Return what was submitted to Slurm, and how to follow it."""
    lines = []
    for each in submissions:
        size = f" of at most {max(map(len, each.keys))} tasks" if each.keys else ""
        lines.append(f"submitted {each.id}: {each.n_jobs} jobs{size}, as job {each.job_id}")
    lines = lines or ["nothing was submitted: every task that is not finished is queued or running"]
    return "\n".join([*lines, f"follow it with: python probing_experiment.py status, logs KEY or cancel, and {flags}"])
