"""What a launch would do: its tasks, how long they may take, and the batch scripts, without running anything."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from statistics import mean

from sparse_probing.activations.harvesting.dry_run import dry_run as dry_run_of_harvest
from sparse_probing.config import HarvestConfig, ProbingConfig, StudyName
from sparse_probing.runs.planning.create_run import build_run
from sparse_probing.runs.planning.inputs import open_inputs
from sparse_probing.runs.planning.run import RUN_RECORD, Run, load_run
from sparse_probing.runs.slurm.arrays import Draft, draft_tasks
from sparse_probing.runs.slurm.both_stages import draft_harvest, draft_shares
from sparse_probing.runs.slurm.harvest_for_probing import expected_tasks, open_harvests
from sparse_probing.runs.slurm.sbatch import ask_about_script, batch_script
from sparse_probing.runs.status.status import OPEN, run_status
from sparse_probing.runs.tasks.results import check_results


@dataclass(frozen=True)
class Estimate:
    """How much work some tasks are, from the tasks of the same studies that are done."""

    hours: float | None
    """Of one worker; None when no task of one of the studies was ever done."""
    n_finished: int
    """Tasks it is drawn from."""


def dry_run(config: ProbingConfig) -> str:
    """Return what a launch would do, in lines; nothing is run, written or submitted."""
    lacking = open_harvests(config) if config.harvest_first.harvest or config.slurm.after else []
    lines = _both_stages(config, lacking) if lacking else _stage_two(config)
    return "\n".join([*lines, "Nothing was run or submitted."])


def estimate(run: Run, keys: Iterable[str]) -> Estimate:
    """Estimate the work of some tasks from the finished tasks of this run, or else of other runs beside it."""
    wanted = [run.tasks[key] for key in keys]
    plans = sorted(run.folder.parent.glob(f"*/*/{RUN_RECORD}"), key=lambda plan: plan.parent != run.path)
    per_feature: dict[StudyName, list[float]] = {}
    for plan in plans:
        for study, seconds in _seconds_per_feature(load_run(plan.parent)).items():
            per_feature.setdefault(study, seconds)
    if not {task.study for task in wanted} <= per_feature.keys():
        return Estimate(None, 0)
    seconds = sum(mean(per_feature[task.study]) * len(task.features) for task in wanted)
    return Estimate(seconds / 3600, sum(map(len, per_feature.values())))


def _stage_two(config: ProbingConfig) -> list[str]:
    run = build_run(config)
    status = run_status(run)
    keys = status.keys(*OPEN, *(("failed",) if config.execution.retry_failed else ()))
    counts = ", ".join(f"{n:,} {state}" for state, n in status.counts.items() if n)
    lines = [f"{len(run.tasks):,} tasks ({counts}) in {run.path}", _reading(run, keys), _duration(run, keys)]
    submits = config.execution.cluster == "slurm" and bool(keys)
    return [*lines, *(_draft(draft_tasks(run, keys, config), config) if submits else ())]


def _both_stages(config: ProbingConfig, lacking: list[HarvestConfig]) -> list[str]:
    n_tasks = expected_tasks(config, lacking[0])
    lines = (
        [dry_run_of_harvest(harvest).__rich__().plain for harvest in lacking] if config.harvest_first.harvest else []
    )
    lines.append(f"{n_tasks:,} tasks when that is done, planned by the jobs themselves")
    if config.execution.cluster == "slurm":
        first = [draft_harvest(config, harvest) for harvest in lacking] if config.harvest_first.harvest else []
        after = tuple(f"JOB{number}" for number in range(1, len(first) + 1))
        for draft in [*first, draft_shares(config, n_tasks, after)]:
            lines += _draft(draft, config)
    return lines


def _draft(draft: Draft, config: ProbingConfig) -> list[str]:
    script, n_jobs = batch_script(draft.array, config.slurm, draft.place), draft.submission.n_jobs
    # A job that is not submitted yet has no id to wait for.
    answer = ask_about_script(batch_script(replace(draft.array, after=()), config.slurm, draft.place))
    return [
        f"{n_jobs:,} jobs of at most {draft.array.tasks_per_entry:,} tasks would be submitted by:\n",
        script,
        "There is no sbatch here to ask." if answer is None else f"sbatch --test-only: {answer}",
    ]


def _seconds_per_feature(run: Run) -> dict[StudyName, list[float]]:
    found: dict[StudyName, list[float]] = defaultdict(list)
    for key, verdict in check_results(run.path, run.tasks).items():
        if verdict.intact:
            found[run.tasks[key].study].append(verdict.seconds / len(run.tasks[key].features))
    return found


def _reading(run: Run, keys: list[str]) -> str:
    plan = open_inputs(run.config).store.plan
    layer = plan.nbytes / len(plan.layers) / 1e9
    return f"{len(keys):,} to do; each reads a layer of {layer:,.3f} GB, together {layer * len(keys):,.3f} GB"


def _duration(run: Run, keys: list[str]) -> str:
    found = estimate(run, keys)
    if found.hours is None:
        return "estimated hours: unknown, as no task of this kind is done yet; try one with --layers"
    workers = run.config.execution.workers if run.config.execution.cluster == "local" else run.config.slurm.throttle
    shared = f", {found.hours / workers:,.2f} hours with {workers} at a time" if workers else ""
    return f"estimated: {found.hours:,.2f} hours of work{shared} (from {found.n_finished:,} tasks that are done)"
