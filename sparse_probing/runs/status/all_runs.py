"""The index of runs: every run below RESULTS_DIR, with its state and where its table is."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sparse_probing.runs.planning.run_record import RUN_RECORD, load_run
from sparse_probing.runs.status.run_status import run_status

PROBING = "probing"
RANKED_NEURONS = "ranked_neurons.csv"


@dataclass(frozen=True)
class IndexedRun:
    """One line of the index."""

    study: str
    model: str
    dataset: str
    state: str
    """``done`` (with the number of features that could not be probed), the number of tasks in each state, or
    ``damaged``."""
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
            yield _index_run(Path(folder))


def _index_run(folder: Path) -> IndexedRun:
    model, dataset, _, settings = folder.absolute().parts[-5:-1]
    study, state, problem = settings.rpartition("-")[0], "damaged", ""
    try:
        run = load_run(folder)
        status = run_status(run)
        counts = {state: n for state, n in status.counts.items() if n}
        study = " ".join(run.config.experiment_type)
        state = ", ".join(f"{n} {name}" for name, n in counts.items())
        if set(counts) == {"done"}:
            failed = {feature for task in status.tasks.values() for feature, _ in task.failed_features}
            probed = {feature for task in run.tasks.values() for feature in task.features} - failed
            state = (
                "done"
                if not failed
                else f"done, features without probes: {len(failed)}"
                if probed
                else "no feature probed"
            )
    except Exception as error:  # whatever is wrong with one run, the others are listed
        problem = f"{type(error).__name__}: {error}"
    csv = folder / RANKED_NEURONS
    return IndexedRun(study, model, dataset, state or "no tasks", str(csv if csv.is_file() else folder), problem)
