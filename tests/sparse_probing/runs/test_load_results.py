import shutil

import pytest

from probing_datasets.foundation.errors import TaskError
from sparse_probing.result_rows import COLUMNS
from sparse_probing.runs.launch import run_probing
from sparse_probing.runs.load_results import load_results
from sparse_probing.runs.planning.create_run import create_run
from sparse_probing.runs.tasks.results import ROWS, task_folder


@pytest.fixture
def run(plant):
    return run_probing(plant())


def test_every_row_of_every_task(run):
    results = load_results(run)
    assert list(results.columns) == [name for name in COLUMNS if name != "proof"]
    per_probe = results.groupby(["layer", "feature", "control", "k"]).size()
    assert (per_probe == 1).all()
    assert len(per_probe) == 2 * 2 * 2 * 8


@pytest.mark.parametrize("kind", [str, lambda path: path])
def test_a_run_may_be_given_as_its_folder(run, kind):
    assert load_results(kind(run.path)).equals(load_results(run))


def test_tasks_that_are_not_finished_or_damaged_are_left_out(run):
    first, second, *_ = run.tasks
    shutil.rmtree(task_folder(run.path, first))
    damaged = task_folder(run.path, second) / ROWS
    damaged.write_bytes(damaged.read_bytes()[:-1])
    assert len(load_results(run)) == 2 * 2 * 8


def test_nothing_finished(plant):
    run = create_run(plant())
    with pytest.raises(TaskError, match=r"No task of .* is finished. Run probing_experiment.py with the same settings"):
        load_results(run)


def test_a_folder_that_is_no_run(tmp_path):
    with pytest.raises(TaskError, match=r"is not the folder of a run; it has no run.json"):
        load_results(tmp_path)
