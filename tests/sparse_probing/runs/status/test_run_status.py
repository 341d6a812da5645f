"""The states of tasks; Slurm's answers are replaced by their words here, and real in tests/slurm."""

import json
import tracemalloc
from dataclasses import replace

import pytest
from rich.console import Console

from probing_datasets.foundation.errors import TaskError
from probing_datasets.foundation.files.sealed_json import unseal, write_sealed
from sparse_probing.runs.choose_tasks import open_tasks
from sparse_probing.runs.locks import locked
from sparse_probing.runs.planning.create_run import create_run
from sparse_probing.runs.slurm.squeue import Job
from sparse_probing.runs.status import run_status as status_module
from sparse_probing.runs.status.run_status import run_status
from sparse_probing.runs.status.table import show_status
from sparse_probing.runs.submissions import (
    LOGS,
    RECORD,
    alive_lock,
    new_submission,
    record_submission,
    submission_folder,
)
from sparse_probing.runs.tasks.attempt_records import begin_attempt
from sparse_probing.runs.tasks.published_results import ROWS, task_folder
from tests.builders.odd_paths import ODD, put_odd
from tests.builders.runs import cut_short, fail_task, flip_byte, publish_result, record_jobs, write_log


@pytest.fixture
def run(plant):
    return create_run(plant())


@pytest.fixture
def keys(run):
    return list(run.tasks)


@pytest.fixture
def submit(run):
    """A function that records the submission of some tasks."""
    return lambda cluster, keys: record_jobs(run, cluster, keys, "7")


@pytest.fixture
def queue(monkeypatch):
    """A function that sets what Slurm answers: states by name and index, or None for no answer."""

    def set_answer(answer):
        jobs = answer and {
            name: {i: Job(f"7_{i}", s, "Priority") for i, s in enumerate(states)} for name, states in answer.items()
        }
        monkeypatch.setattr(status_module, "ask_about", lambda _: jobs)

    return set_answer


def states(run):
    return [task.state for task in run_status(run).tasks.values()]


def test_from_results_and_attempts(run, keys, submit):
    gone = submit("local", [[key] for key in keys[:3]])
    publish_result(run, keys[0])
    fail_task(run, keys[1], gone)
    begin_attempt(run.path, keys[2], gone.id)
    assert states(run) == ["done", "failed", "lost", "todo"]
    assert run_status(run).tasks[keys[1]].message == "no such row"
    assert run_status(run).seconds == {keys[0]: 2.0}


def test_a_damaged_result(run, keys):
    publish_result(run, keys[0])
    cut_short(task_folder(run.path, keys[0]) / ROWS)
    assert states(run) == ["corrupt", "todo", "todo", "todo"]


def test_workers_of_a_living_launcher(run, keys, submit):
    submission = submit("local", [[key] for key in keys])
    with locked(alive_lock(run.folder, submission)):
        publish_result(run, keys[0])
        begin_attempt(run.path, keys[1], submission.id)
        fail_task(run, keys[2], submission)
        assert states(run) == ["done", "running", "failed", "pending"]
    assert states(run) == ["done", "lost", "failed", "died"]


def test_jobs_by_what_slurm_reports(run, keys, submit, queue):
    submission = submit("slurm", [[keys[0], keys[1]], [keys[2]], [keys[3]]])
    begin_attempt(run.path, keys[0], submission.id)
    queue({submission.id: ["RUNNING", "PENDING", "CANCELLED"]})
    assert states(run) == ["running", "pending", "pending", "died"]
    assert run_status(run).tasks[keys[2]].message == "Priority"
    queue({submission.id: ["PENDING", "PENDING", "PENDING"]})  # requeued: no process runs it
    assert states(run) == ["pending"] * 4
    queue({submission.id: ["TIMEOUT"] * 3})
    assert states(run) == ["lost", "died", "died", "died"]
    queue({})
    assert states(run) == ["lost", "died", "died", "died"]


def test_an_earlier_failure_does_not_count_while_a_later_submission_is_live(run, keys, submit, queue):
    first = submit("slurm", [[keys[0]]])
    fail_task(run, keys[0], first)
    queue({first.id: ["RUNNING"]})
    assert states(run)[0] == "failed"
    second = submit("slurm", [[keys[0]]])
    queue({first.id: ["FAILED"], second.id: ["RUNNING"]})
    assert states(run)[0] == "pending"


def test_without_an_answer_what_was_submitted_is_unknown(run, keys, submit, queue):
    submission = submit("slurm", [[keys[0]], [keys[1]], [keys[2]]])
    publish_result(run, keys[0])
    fail_task(run, keys[1], submission)
    queue(None)
    assert states(run) == ["done", "failed", "unknown", "todo"]


def test_while_jobs_of_a_damaged_submission_run_it_is_unknown_which_tasks_they_run(run, keys, submit, queue):
    submission = submit("slurm", [[key] for key in keys])
    flip_byte(submission_folder(run.folder, submission) / RECORD)
    (submission_folder(run.folder, submission) / LOGS).mkdir()
    publish_result(run, keys[0])
    queue({submission.id: ["COMPLETED", "RUNNING", "PENDING", "PENDING"]})
    assert states(run) == ["done", "unknown", "unknown", "unknown"]
    with pytest.raises(TaskError, match=f"The record of {submission.id} is damaged, and its jobs are queued or run"):
        open_tasks(run, keys, retry_failed=False)
    console = Console(width=80)
    with console.capture() as captured:
        show_status(run_status(run), console)
    assert captured.get().count(f"The record of {submission.id} is damaged") == 1
    other = submit("slurm", [[keys[3]]])
    queue({submission.id: ["COMPLETED", "RUNNING"], other.id: ["RUNNING"]})
    assert states(run) == ["done", "unknown", "unknown", "pending"]
    queue({submission.id: ["COMPLETED", "CANCELLED", "CANCELLED", "CANCELLED"], other.id: ["RUNNING"]})
    assert states(run) == ["done", "todo", "todo", "pending"]


def test_while_the_process_of_a_damaged_submission_lives_nothing_else_runs_its_tasks(run, keys, submit):
    submission = submit("local", [[key] for key in keys])
    with locked(alive_lock(run.folder, submission)):
        (submission_folder(run.folder, submission) / RECORD).write_text("null")
        assert states(run) == ["unknown"] * 4
        with pytest.raises(TaskError, match="is damaged"):
            open_tasks(run, keys, retry_failed=False)
    assert states(run) == ["todo"] * 4
    assert open_tasks(run, keys, retry_failed=False) == keys


def test_when_all_is_done_slurm_is_not_asked(run, keys, submit, monkeypatch):
    submit("slurm", [[key] for key in keys])
    for key in keys:
        publish_result(run, key)
    monkeypatch.setattr(status_module, "ask_about", None)
    assert run_status(run).all_done


def test_jobs_that_create_the_run_themselves_have_shares(run, keys, submit, queue):
    submission = new_submission("probe", "slurm", 2)
    record_submission(run.folder, submission)
    queue({submission.id: ["PENDING", "FAILED"]})
    assert states(run) == ["pending", "todo", "pending", "todo"]


def test_as_json(run, keys):
    publish_result(run, keys[0], failed_features={"strong": "one class"})
    value = json.loads(json.dumps(run_status(run).to_json()))
    assert value["counts"]["done"] == 1
    assert value["counts"]["todo"] == 3
    first = value["tasks"][0]
    assert (first["key"], first["state"], first["layer"], first["features"]) == (keys[0], "done", 0, ["strong"])
    assert first["failed_features"] == {"strong": "one class"}


def test_as_a_table(run, keys, submit):
    publish_result(run, keys[0])
    fail_task(run, keys[3], submit("local", [[keys[3]]]))
    console = Console(width=200)
    with console.capture() as captured:
        show_status(run_status(run), console)
    lines = [line.split() for line in captured.get().splitlines()]
    assert ["heuristic_sparsity_sweep,", "layer", "0", "1", "1"] in lines
    assert ["all", "1", "1", "2"] in lines
    assert ["weak", "1", "1"] in lines
    assert f"failed {keys[3]} (heuristic_sparsity_sweep, layer 1): no such row" in captured.get()


def test_the_table_names_the_log_of_a_task_that_died(run, keys, queue):
    queue({})
    submission = record_jobs(run, "slurm", [[key] for key in keys], "7", phase="intent")
    log = write_log(run, submission, "7_1", "Killed")
    console = Console(width=80)
    with console.capture() as captured:
        show_status(run_status(run), console)
    reason = f"Its job 7_1 ended before the task began. Log: {log}"
    assert f"died {keys[1]} (heuristic_sparsity_sweep, layer 0): {reason}\n" in captured.get()


@pytest.mark.parametrize("kind", ODD)
@pytest.mark.parametrize("cluster", ["local", "slurm"])
def test_one_wrong_path_does_not_stop_the_status_of_the_others(run, keys, submit, queue, kind, cluster):
    queue({})
    submission = submit(cluster, [keys])
    publish_result(run, keys[0])
    place = submission_folder(run.folder, submission)
    for path in (place / "alive.lock", place / LOGS, task_folder(run.path, keys[1]), place / RECORD):
        put_odd(kind, path)
        found = states(run)
        assert found[0] == "done"
        assert found[1] in ("corrupt", "died")
    put_odd(kind, place)
    assert states(run)[0] == "done"
    for name in ("attempts", "verified.json", "damaged", "partial"):
        put_odd(kind, run.path / name)
        assert states(run)[0] == "done"
    put_odd(kind, run.folder / "submissions")
    assert states(run) == ["done", "corrupt", "todo", "todo"]
    put_odd(kind, run.path / "tasks")
    assert states(run) == ["todo"] * 4


@pytest.mark.parametrize("kind", ODD)
def test_what_is_in_the_place_of_a_result_is_moved_aside(run, keys, kind):
    put_odd(kind, task_folder(run.path, keys[0]))
    publish_result(run, keys[0])
    assert states(run)[0] == "done"


@pytest.mark.parametrize("cluster", ["local", "slurm"])
def test_shares_of_many_more_jobs_than_tasks(run, keys, submit, queue, cluster):
    submission = replace(submit(cluster, None), n_jobs=4_000_000)
    queue({submission.id: ["RUNNING"] * 6})
    record_submission(run.folder, submission)
    tracemalloc.start()
    try:
        with locked(alive_lock(run.folder, submission)):
            assert states(run) == ["pending"] * 4
        queue(None)
        assert states(run) == [{"local": "died", "slurm": "unknown"}[cluster]] * 4
        queue({})
        assert states(run) == ["died"] * 4
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8_000_000  # bytes; a list of all jobs takes at least 32 million


@pytest.mark.parametrize("n_jobs", [0, 1, 3, 10])
def test_a_record_whose_number_of_jobs_is_not_that_of_its_keys_is_damaged(run, keys, submit, n_jobs):
    submission = submit("local", [[keys[0]], [keys[1]]])
    path = submission_folder(run.folder, submission) / RECORD
    write_sealed(path, unseal(path.read_bytes()) | {"n_jobs": n_jobs})
    with locked(alive_lock(run.folder, submission)):
        assert states(run) == ["unknown"] * 4
    assert states(run) == ["todo"] * 4
