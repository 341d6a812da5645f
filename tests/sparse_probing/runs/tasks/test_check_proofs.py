"""The command `verify`: proofs of a run hold, and damaged or changed results are named."""

import sys

import pyarrow.parquet as pq
import pytest

import probing_experiment
from sparse_probing.runs.launch import run_probing
from sparse_probing.runs.tasks.check_proofs import check_proofs
from sparse_probing.runs.tasks.published_results import ROWS, publish, read_record, task_folder
from sparse_probing.studies.base.result_rows import SCHEMA


@pytest.fixture
def run(plant):
    """A finished run of one layer, a task for each of two features."""
    study = {"experiment_type": ("optimal_sparse_probing",), "layers": (1,), "osp_upto_k": 2}
    return run_probing(plant().with_flags(**study, proof=True, controls=("shuffled_labels", "rotation"), test_folds=2))


@pytest.fixture
def verify(monkeypatch, capsys):
    """A function that verifies a run and returns exit status, output and errors."""

    def script(run):
        monkeypatch.setattr(sys, "argv", ["probing_experiment.py", "verify", "--run", str(run.path)])
        status = probing_experiment.main()
        captured = capsys.readouterr()
        return status, captured.out, captured.err.splitlines()[-1:]

    return script


def test_all_proofs_of_a_run_hold(run, verify):
    status, out, _ = verify(run)
    n = 2 * 2 * 3 * 2  # features, folds, the probe and its controls, k
    assert (status, out) == (0, f"{n} of {n} lower bounds are proved.\n")
    names = [checked.name for checked in check_proofs(run)]
    assert len(set(names)) == n
    assert "strong, layer 1, k = 2 of 20 candidates, m = 1, fold 1, rotation, rotation 0" in names


def test_a_result_that_was_tampered_with_is_not_finished(run, verify):
    path = task_folder(run.path, next(iter(run.tasks))) / ROWS
    path.write_bytes(path.read_bytes()[:-1])
    status, out, (error,) = verify(run)
    assert (status, out) == (1, "12 of 12 lower bounds are proved.\n")
    assert "1 of 2 tasks of" in error
    assert "are not finished, or their rows are damaged" in error


def test_a_bound_that_is_claimed_too_high_is_named(run, verify):
    key = next(iter(run.tasks))
    rows, record = (
        pq.read_table(task_folder(run.path, key) / ROWS, schema=SCHEMA).to_pylist(),
        read_record(run.path, key, run.tasks[key]),
    )
    row = next(row for row in rows if row["proof"] is not None)
    row["lower_bound"] *= 1.001
    (task_folder(run.path, key) / ROWS).unlink()
    publish(run.path, rows, record)
    status, out, (error,) = verify(run)
    assert status == 1
    assert out.startswith(f"task {key}, strong, layer 1, k = 1 of 20 candidates, m = 1, fold 0, neurons 0: ")
    assert "of another probe" in out
    assert error == "error: Not every bound is proved."
