"""What a launch would do: its tasks, how long they may take, and the batch scripts; nothing is run."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass, replace
from statistics import mean

from sparse_probing.config import HarvestConfig, ProbingConfig
from sparse_probing.runs.harvest_first import expected_tasks, missing_harvests
from sparse_probing.runs.planning.create_run import build_run
from sparse_probing.runs.planning.run_inputs import open_inputs
from sparse_probing.runs.planning.run_record import Run
from sparse_probing.runs.slurm.job_arrays import harvest_array, share_array, task_array
from sparse_probing.runs.slurm.sbatch import Array, batch_script, check_script
from sparse_probing.runs.status.run_status import OPEN, run_status
from sparse_probing.runs.tasks.task_seconds import seconds_per_feature

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Estimate:
    """How long some tasks take, judged by finished tasks of the same studies."""

    hours: float | None
    """Of one worker; None when no task of one of the studies has been finished."""
    n_finished: int
    """Number of finished tasks that the estimate is made from."""


def dry_run(config: ProbingConfig) -> str:
    """Return what a launch would do, in lines; nothing is run, written or submitted."""
    may_harvest = config.harvest_first.harvest or config.slurm.after
    harvests = missing_harvests(config) if may_harvest else []
    lines = _both_stages(config, harvests) if harvests else _stage_two(config)
    return "\n".join([*lines, "Nothing was run or submitted."])


def estimate(run: Run, keys: Iterable[str]) -> Estimate:
    """Estimate how long some tasks take, from finished tasks of this run or, without any, of other runs beside it."""
    tasks = [run.tasks[key] for key in keys]
    known = seconds_per_feature(run)
    if not {task.study for task in tasks} <= known.keys():
        return Estimate(None, 0)
    total = sum(mean(known[task.study]) * len(task.features) for task in tasks)
    return Estimate(total / 3600, sum(map(len, known.values())))


def _stage_two(config: ProbingConfig) -> list[str]:
    run, execution = build_run(config), config.execution
    status = run_status(run)
    keys = status.keys(*OPEN, *(("failed",) if execution.retry_failed else ()))
    counts = ", ".join(f"{n:,} {state}" for state, n in status.counts.items() if n)

    stored = open_inputs(config).store.plan
    layer = stored.nbytes / len(stored.layers) / 1e9
    reading = f"{len(keys):,} to run; each reads a layer of {layer:,.3f} GB, together {layer * len(keys):,.3f} GB"

    time = estimate(run, keys)
    if time.hours is None:
        duration = "estimated hours: unknown, because no task of this study is finished; try one with --layers"
    else:
        workers = execution.workers if execution.cluster == "local" else config.slurm.throttle
        shared = f", {time.hours / workers:,.2f} hours with {workers} at a time" if workers else ""
        duration = f"estimated: {time.hours:,.2f} hours of work{shared} (from {time.n_finished:,} finished tasks)"

    lines = [f"{len(run.tasks):,} tasks ({counts}) in {run.path}", reading, duration]
    if execution.cluster == "slurm" and keys:
        lines += _describe_array(task_array(run, keys, execution, config.slurm))
    return lines


def _both_stages(config: ProbingConfig, harvests: list[HarvestConfig]) -> list[str]:
    n_tasks, arrays, lines = expected_tasks(config, harvests[0]), [], []
    if config.harvest_first.harvest:
        # Here: a dry run of stage 2 needs no model, whose libraries take seconds.
        from sparse_probing.activations.harvesting.dry_run import dry_run as dry_run_of_harvest

        lines += [str(dry_run_of_harvest(harvest)) for harvest in harvests]
        arrays += [harvest_array(harvest, config.harvest_first, config.slurm) for harvest in harvests]
    lines.append(f"{n_tasks:,} tasks when the store is complete; the jobs create the run")
    if config.execution.cluster == "slurm":
        first_jobs = tuple(f"JOB{number}" for number in range(1, len(arrays) + 1))
        for array in [*arrays, share_array(config, n_tasks, first_jobs)]:
            lines += _describe_array(array)
    return lines


def _describe_array(array: Array) -> list[str]:
    # sbatch would refuse to wait for a job that is not submitted yet and has no id.
    answer = check_script(batch_script(replace(array, after=())))
    return [
        f"{array.submission.n_jobs:,} jobs of at most {array.tasks_per_entry:,} tasks would be submitted by:\n",
        batch_script(array),
        "There is no sbatch here that can check it." if answer is None else f"sbatch --test-only: {answer}",
    ]
