"""The proofs of a run, checked one after the other against the activations."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow.parquet as pq

from sparse_probing.probes.optimal.proofs.verify import Verdict
from sparse_probing.results import SCHEMA
from sparse_probing.runs.planning.run import Run, Task
from sparse_probing.runs.tasks.results import ROWS, finished_tasks, task_folder
from sparse_probing.runs.tasks.task_data import features_of, inputs_of, layers_of, variants_of
from sparse_probing.studies import STUDIES
from sparse_probing.studies.base.fit_study import ask
from sparse_probing.studies.base.prepare import make_problem
from sparse_probing.studies.base.problem import Problem
from sparse_probing.studies.optimal.verification import verify_row

Row = dict[str, Any]
Place = tuple[str, int, str, str, int]
"""Feature, fold, control, basis and trial: what tells the problems of a task apart."""


@dataclass(frozen=True)
class CheckedProof:
    """A row that has a proof, and what the verifier says of it."""

    key: str
    """Of the task."""
    row: Row
    verdict: Verdict

    @property
    def name(self) -> str:
        """What the proof is about."""
        row = self.row
        step = "" if row["step"] is None else f", step {row['step']}"
        about = f"{row['n_candidates']} candidates, m = {row['ridge_multiplier']:g}, fold {row['fold']}{step}"
        where = ", ".join(filter(None, [row["control"], f"{row['basis']} {row['trial']}"]))
        return f"{row['feature']}, layer {row['layer']}, k = {row['k']} of {about}, {where}"


def check_proofs(run: Run) -> Iterator[CheckedProof]:
    """Yield a verdict for every row with a proof of the finished tasks of a run."""
    for key in finished_tasks(run.path, run.tasks):
        rows = pq.read_table(task_folder(run.path, key) / ROWS, schema=SCHEMA).to_pylist()
        proofs = [row for row in rows if row["proof"] is not None]
        if proofs:
            yield from _check_task(run, key, proofs)


def _check_task(run: Run, key: str, proofs: list[Row]) -> Iterator[CheckedProof]:
    by_place: dict[Place, list[Row]] = defaultdict(list)
    for row in proofs:
        by_place[_place(row)].append(row)
    for place, problem in problems_of(run, run.tasks[key]):
        for row in by_place.pop(place, []):
            yield CheckedProof(key, row, verify_row(run.config, problem, row))
    for row in (row for rows in by_place.values() for row in rows):
        yield CheckedProof(key, row, Verdict(False, "The task has no problem that this could be the proof of."))


def problems_of(run: Run, task: Task) -> Iterator[tuple[Place, Problem]]:
    """Yield the problems of a task, and what tells them apart."""
    config, study, inputs = run.config, STUDIES[task.study], inputs_of(run)
    features, failed = features_of(inputs, task, config)
    asked = ask(config, study, features, failed)
    for variant, layer in layers_of(inputs, task.layer, variants_of(config, study, inputs), config.activations.seed):
        for question in asked:
            place = (question.feature, question.fold, variant.control or "", variant.basis, variant.trial)
            yield place, make_problem(config, question, layer, variant, task.layer)


def _place(row: Row) -> Place:
    return row["feature"], row["fold"], row["control"], row["basis"], row["trial"]
