"""What jobs and worker processes run: importable functions with plain arguments, safe to run again at any time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from submitit.core.utils import UncompletedJobError

from probing_datasets.foundation.environment import read_settings
from probing_datasets.foundation.errors import CodeChangedError, DamagedFileError, TaskError
from sparse_probing.config import HarvestConfig
from sparse_probing.runs.locks import locked
from sparse_probing.runs.planning.create_run import create_run
from sparse_probing.runs.planning.run_record import code_changed, load_run, recorded_config, settings_folder
from sparse_probing.runs.tasks.attempt_records import (
    attempt_lock,
    begin_attempt,
    end_attempt,
    fail_attempt,
    is_attempted,
)
from sparse_probing.runs.tasks.published_results import read_record
from sparse_probing.runs.tasks.run_task import SAVED, run_task
from sparse_probing.studies.base.interruption import Interrupted

TOO_SHORT = (
    "Its job ran out of time before it had finished one feature, and was not requeued again, because it would start "
    "the same feature once more. Use --retry_failed and a longer --time, or another run with a smaller --osp_timeout."
)


def run_entry(run_path: str, keys: list[str], submission: str) -> None:
    """Run those of the tasks that are not finished, one after the other; those that another process runs come last.

    Raises
    ------
    DamagedFileError, CodeChangedError
        When the record of the run is not what was written, or the code gives its tasks other keys.
    TaskError
        When some failed; the others are finished.
    """
    run, remaining, failed = load_run(Path(run_path)), list(keys), []  # refused before any task begins
    while remaining:
        key = next((key for key in remaining if not is_attempted(run.path, key)), remaining[0])
        remaining.remove(key)
        if read_record(run.path, key, run.tasks[key]) is None and not attempt_task(run_path, key, submission):
            failed.append(key)
    if failed:
        raise TaskError(f"{len(failed)} of {len(keys)} tasks of {run_path} failed: {', '.join(failed)}.")


def run_share(config: dict[str, Any], name: str, rank: int, world_size: int, submission: str) -> None:
    """Create the run of a configuration, now that its store is complete, and run a share of its tasks.

    ``name`` is that of the folder of the settings when the jobs were submitted.

    Raises
    ------
    CodeChangedError
        When this version of the code gives the tasks other keys, and so another folder, than the one that submitted.
    """
    recorded = recorded_config(config, Path(submission))
    if settings_folder(recorded).name != name:
        raise CodeChangedError(code_changed(settings_folder(recorded).with_name(name)))
    run = create_run(recorded)
    run_entry(str(run.path), run.share(rank, world_size), submission)


def harvest_share(config: dict[str, Any], rank: int, world_size: int) -> None:
    """Write a share of the missing parts of an activation store."""
    from sparse_probing.activations.harvest import harvest  # here: it takes seconds, and other jobs do not need it

    harvest_config = HarvestConfig.from_record(config)
    harvest(harvest_config.with_flags(rank=rank, world_size=world_size, n_threads=read_settings().n_cpus))


def attempt_task(run_path: str, key: str, submission: str) -> bool:
    """Run a task and record the attempt; return whether it succeeded.

    Raises
    ------
    OSError, CodeChangedError, DamagedFileError
        Of the disk, and of a record of the run that another process changed. The task is then not recorded as
        failed: the next launch runs it again.
    Interrupted
        When a signal ended the task and the process is about to be killed; the task is then lost.
    """
    attempt = begin_attempt(Path(run_path), key, submission)
    with locked(attempt_lock(attempt)):
        try:
            run_task(run_path, key)
        except UncompletedJobError:
            if not SAVED:
                fail_attempt(attempt, TaskError(TOO_SHORT))
            raise
        except (OSError, CodeChangedError, DamagedFileError, Interrupted):
            raise
        except Exception as error:
            fail_attempt(attempt, error)
            return False
        except BaseException:
            end_attempt(attempt)
            raise
        end_attempt(attempt)
        return True
