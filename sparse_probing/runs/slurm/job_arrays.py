"""The arrays of a run of stage 2 and of a harvest: what each of their entries calls."""

from __future__ import annotations

from statistics import mean
from typing import Any

from sparse_probing.config import ExecutionConfig, HarvestConfig, HarvestFirstConfig, ProbingConfig, SlurmConfig
from sparse_probing.config.result_folders import harvest_submissions_folder
from sparse_probing.runs.planning.run_record import Run, settings_folder
from sparse_probing.runs.slurm.long_searches import warn_of_long_searches
from sparse_probing.runs.slurm.sbatch import Array, max_array_size
from sparse_probing.runs.submissions import new_submission
from sparse_probing.runs.tasks.task_seconds import seconds_per_feature

SECONDS_PER_ENTRY = 60
"""Work of an entry whose tasks are known to be short: the start of its job takes a tenth of it."""


def measured_tasks_per_entry(run: Run, keys: list[str], minutes: int) -> int:
    """Return how many tasks an entry gets where the user gives no number: about a minute of work.

    How long a task takes is known from finished tasks of the same studies. Where they are not known, it is one task.

    Parameters
    ----------
    run : Run
    keys : list of str
        Tasks to submit.
    minutes : int
        Time limit of a job; its tasks are expected to take at most a quarter of it.
    """
    known = seconds_per_feature(run)
    tasks = [run.tasks[key] for key in keys]
    if not {task.study for task in tasks} <= known.keys():
        return 1
    longest = max(mean(known[task.study]) * len(task.features) for task in tasks)
    return max(1, min(len(keys), int(min(SECONDS_PER_ENTRY, minutes * 15) // max(longest, 1e-3))))


def task_array(run: Run, keys: list[str], execution: ExecutionConfig, slurm: SlurmConfig) -> Array:
    """Return the array that runs some tasks of a run.

    An entry gets more than ``tasks_per_job`` tasks where the cluster does not accept so many entries.
    """
    warn_of_long_searches(run.config)
    tasks_per_job = execution.tasks_per_job or measured_tasks_per_entry(run, keys, slurm.time)
    size = max(tasks_per_job, -(-len(keys) // max_array_size()))
    entries = [keys[i : i + size] for i in range(0, len(keys), size)]
    submission = new_submission("probe", "slurm", len(entries), entries)
    arguments: list[list[Any]] = [[str(run.path.absolute()), entry, submission.id] for entry in entries]
    return Array(submission, run.folder, "run_entry", arguments, slurm, slurm.resources, slurm.first_jobs, size)


def share_array(config: ProbingConfig, n_tasks: int, after: tuple[str, ...]) -> Array:
    """Return the array of stage 2 whose run cannot be created yet: each entry creates it and runs its share.

    Parameters
    ----------
    config : ProbingConfig
    n_tasks : int
        Expected number of tasks.
    after : tuple of str
        Ids of the jobs of stage 1; the array also waits for those of ``--after``.
    """
    warn_of_long_searches(config)
    n_jobs = min(-(-n_tasks // (config.execution.tasks_per_job or 1)), max_array_size())
    submission = new_submission("probe", "slurm", n_jobs)
    record, folder = config.record_with_full_paths(), settings_folder(config)
    arguments: list[list[Any]] = [[record, folder.name, rank, n_jobs, submission.id] for rank in range(n_jobs)]
    return Array(
        submission,
        folder,
        "run_share",
        arguments,
        config.slurm,
        config.slurm.resources,
        (*after, *config.slurm.first_jobs),
        tasks_per_entry=-(-n_tasks // n_jobs),
    )


def harvest_array(harvest: HarvestConfig, harvest_first: HarvestFirstConfig, slurm: SlurmConfig) -> Array:
    """Return the array of stage 1: each entry writes its share of the parts of a store."""
    n_jobs = min(harvest_first.harvest_jobs, max_array_size())
    submission, record = new_submission("harvest", "slurm", n_jobs), harvest.record_with_full_paths()
    arguments: list[list[Any]] = [[record, rank, n_jobs] for rank in range(n_jobs)]
    folder, resources = harvest_submissions_folder(harvest.activations), harvest_first.resources(slurm)
    return Array(submission, folder, "harvest_share", arguments, slurm, resources, slurm.first_jobs)
