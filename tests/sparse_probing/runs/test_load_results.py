"""Loading the rows of one run or of several, finished or not."""

import shutil

import pytest

from probing_datasets.foundation.errors import DamagedFileError, TaskError
from probing_datasets.foundation.files.sealed_json import unseal, write_sealed
from probing_datasets.foundation.hashing import checksum
from sparse_probing.api.result import load_result
from sparse_probing.runs.launch import run_probing
from sparse_probing.runs.load_results import load_results
from sparse_probing.runs.planning.create_run import create_run
from sparse_probing.runs.tasks.check_proofs import check_proofs
from sparse_probing.runs.tasks.published_results import RECORD, ROWS, task_folder
from sparse_probing.studies.base.result_rows import COLUMNS
from tests.builders.runs import flip_byte, publish_result


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


def test_unfinished_and_damaged_tasks_are_an_error_unless_the_finished_part_is_requested(run, caplog):
    first, second, *_ = run.tasks
    shutil.rmtree(task_folder(run.path, first))
    flip_byte(task_folder(run.path, second) / ROWS)
    with pytest.raises(TaskError, match="2 of 4 tasks of .* are not finished, or their rows are damaged. Run prob"):
        load_results(run)
    with pytest.raises(TaskError, match="2 of 4 tasks"):
        load_result(run.path)
    assert len(load_results(run, finished_only=True)) == 2 * 2 * 8
    assert "2 of 4 tasks of" in caplog.text
    assert len(load_result(run.path, finished_only=True)) == 2 * 2 * 8


def test_nothing_finished(plant):
    run = create_run(plant())
    with pytest.raises(TaskError, match=r"No task of .* is finished. Run probing_experiment.py with the same settings"):
        load_results(run)


def test_a_folder_without_a_run(tmp_path):
    with pytest.raises(TaskError, match=r"is not the folder of a run; it has no run.json"):
        load_results(tmp_path)


def test_several_runs_one_after_the_other(run, plant):
    other = run_probing(plant().with_flags(experiment_type=("dense_probe",)))
    results = load_results([run, str(other.path)])
    assert results["study"].drop_duplicates().tolist() == ["heuristic_sparsity_sweep", "dense_probe"]
    assert results[: len(load_results(run))].equals(load_results(run))
    assert results[len(load_results(run)) :].reset_index(drop=True).equals(load_results(other))


def test_no_run_at_all():
    with pytest.raises(TaskError, match="There are no runs to load. Pass at least one run"):
        load_results([])


def test_rows_that_are_not_rows_are_damaged_although_they_have_their_checksum(plant):
    run = create_run(plant())
    for key in run.tasks:
        publish_result(run, key)
    path = task_folder(run.path, next(iter(run.tasks)))
    (path / ROWS).write_bytes(b"PAR1xxxx")
    write_sealed(path / RECORD, unseal((path / RECORD).read_bytes()) | {"checksum": checksum([b"PAR1xxxx"])})
    for read in (load_results, lambda run: list(check_proofs(run))):
        with pytest.raises(DamagedFileError, match=rf"{path / ROWS} is damaged"):
            read(run)
