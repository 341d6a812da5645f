"""Check the proofs of a run, one after the other, against the activations."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sparse_probing.probes.optimal.proofs.verify import Verdict
from sparse_probing.runs.planning.run_record import Run
from sparse_probing.runs.tasks.published_results import ROWS, read_result, task_folder
from sparse_probing.runs.tasks.task_data import task_data
from sparse_probing.studies.base.result_rows import table_of_file
from sparse_probing.studies.optimal.verify_row import verify_row

Row = dict[str, Any]


@dataclass(frozen=True)
class CheckedProof:
    """A row that has a proof, with the verdict of the verifier."""

    key: str
    """Of the task."""
    row: Row
    verdict: Verdict

    @property
    def name(self) -> str:
        """What the proof is about."""
        row = self.row
        step = "" if row["step"] is None else f", step {row['step']}"
        search = f"{row['n_candidates']} candidates, m = {row['ridge_multiplier']:g}, fold {row['fold']}{step}"
        variant = ", ".join(filter(None, [row["control"], f"{row['basis']} {row['trial']}"]))
        return f"{row['feature']}, layer {row['layer']}, k = {row['k']} of {search}, {variant}"


def check_proofs(run: Run) -> Iterator[CheckedProof]:
    """Yield a verdict for every row with a proof of the finished tasks of a run.

    Raises
    ------
    DamagedFileError
        When the rows of a task have their checksum, and are not rows.
    """
    for key in run.tasks:
        result = read_result(run.path, key, run.tasks[key])
        if result is None:
            continue
        rows = table_of_file(task_folder(run.path, key) / ROWS, result.rows).to_pylist()
        proofs = [row for row in rows if row["proof"] is not None]
        if proofs:
            yield from _check_task(run, key, proofs)


def _check_task(run: Run, key: str, proofs: list[Row]) -> Iterator[CheckedProof]:
    # Feature, fold, control, basis and trial tell the data of a task apart.
    rows_of_data: dict[tuple[str, int, str, str, int], list[Row]] = defaultdict(list)
    for row in proofs:
        rows_of_data[row["feature"], row["fold"], row["control"], row["basis"], row["trial"]].append(row)
    variants, _ = task_data(run, run.tasks[key])
    for features in variants:
        for data in features:
            variant = data.variant
            place = (data.feature, data.fold, variant.control or "", variant.basis, variant.trial)
            for row in rows_of_data.pop(place, []):
                yield CheckedProof(key, row, verify_row(run.config, data, row))
    for rows in rows_of_data.values():
        for row in rows:
            yield CheckedProof(key, row, Verdict(False, "The task has no data that this could be a proof about."))
