"""What jobs and worker processes run: importable functions with plain arguments, safe to run again at any time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from submitit.core.utils import UncompletedJobError

from probing_datasets.foundation.errors import TaskError
from probing_datasets.foundation.settings import read_settings
from sparse_probing.config import HarvestConfig, ProbingConfig
from sparse_probing.runs.locks import locked
from sparse_probing.runs.planning.plan_run import plan_run
from sparse_probing.runs.tasks.attempts import begin_attempt, end_attempt, fail_attempt, is_attempted
from sparse_probing.runs.tasks.results import read_record
from sparse_probing.runs.tasks.run_task import run_task


def run_entry(run_path: str, keys: list[str], submission: str) -> None:
    """Do those of the tasks that are not done, one after the other; those that another process is at come last.

    Raises
    ------
    TaskError
        When some failed; the others are done.
    """
    run, left, failed = Path(run_path), list(keys), []
    while left:
        key = next((key for key in left if not is_attempted(run, key)), left[0])
        left.remove(key)
        if read_record(run, key) is None and not attempt_task(run_path, key, submission):
            failed.append(key)
    if failed:
        raise TaskError(f"{len(failed)} of {len(keys)} tasks of {run_path} failed: {', '.join(failed)}.")


def run_share(config: dict[str, Any], rank: int, world_size: int, submission: str) -> None:
    """Plan the run of a configuration, now that its store is complete, and do a share of the tasks."""
    run = plan_run(ProbingConfig.from_record(config))
    run_entry(str(run.path), run.share(rank, world_size), submission)


def harvest_share(config: dict[str, Any], rank: int, world_size: int) -> None:
    """Write a share of the parts of an activation store that are not written."""
    from sparse_probing.activations.harvest import harvest  # here: it takes seconds, and other jobs do not need it

    asked = HarvestConfig.from_record(config)
    harvest(asked.with_flags(rank=rank, world_size=world_size, n_threads=read_settings().n_cpus))


def attempt_task(run_path: str, key: str, submission: str) -> bool:
    """Do a task and keep record of the attempt; return whether it ended well.

    Raises
    ------
    OSError
        Of the disk. Nothing is recorded as failed then: the next launch does the task again.
    """
    attempt = begin_attempt(Path(run_path), key, submission)
    with locked(attempt):
        try:
            run_task(run_path, key)
        except (OSError, UncompletedJobError):
            raise
        except Exception as error:
            fail_attempt(attempt, error)
            return False
        except BaseException:
            end_attempt(attempt)
            raise
        end_attempt(attempt)
        return True
