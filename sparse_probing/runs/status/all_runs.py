"""The index of runs: every run below RESULTS_DIR, with its state and where its table is."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sparse_probing.runs.planning.run_record import RUN_RECORD, load_run
from sparse_probing.runs.status.run_status import RunStatus, run_status

PROBING = "probing"
RANKED_NEURONS = "ranked_neurons.csv"


@dataclass(frozen=True)
class IndexedRun:
    """One line of the index."""

    study: str
    model: str
    dataset: str
    state: str
    """``done`` or the number of tasks in each state, with the number of features that miss probes; ``no feature
    probed``, or ``damaged``."""
    path: str
    """The CSV of ranked neurons; of a run without one its folder."""
    problem: str = ""
    """What is damaged."""


def index_runs(results_dir: Path) -> Iterator[IndexedRun]:
    """Yield every run below ``results_dir``, in the order of their folders; a damaged one is listed as such."""
    for folder, folders, files in os.walk(results_dir / PROBING):
        folders.sort()
        if RUN_RECORD in files:
            folders.clear()  # a run holds no other run
            path = Path(folder)
            yield _index_run(path, path.relative_to(results_dir / PROBING).parts)


def _index_run(folder: Path, names: tuple[str, ...]) -> IndexedRun:
    """``names`` are those of the folder and of the folders above it, up to that of all runs."""
    model, dataset, _, settings = (*[""] * 5, *names)[-5:-1]
    study, state, problem = settings.rpartition("-")[0], "damaged", ""
    try:
        run = load_run(folder)
        study = " ".join(run.config.experiment_type)
        state = _describe(run_status(run))
    except Exception as error:  # whatever is wrong with one run, the others are listed
        problem = f"{type(error).__name__}: {error}"
    csv = folder / RANKED_NEURONS
    return IndexedRun(study, model, dataset, state, str(csv if csv.is_file() else folder), problem)


def _describe(status: RunStatus) -> str:
    """Return the state of a run in words: a run without any probe is not simply done."""
    if not status.tasks:
        return "no tasks"
    if status.all_done and not any(task.n_rows for task in status.tasks.values()):
        return "no feature probed"
    state = "done" if status.all_done else ", ".join(f"{n} {name}" for name, n in status.counts.items() if n)
    failed = {feature for task in status.tasks.values() for feature, _ in task.failed_features}
    return f"{state}, features that miss probes: {len(failed)}" if failed else state
