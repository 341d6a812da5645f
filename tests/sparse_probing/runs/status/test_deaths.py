"""Tasks whose job ended before they began: which they are, how often in a row, and what is reported about them."""

import pytest

from sparse_probing.runs.planning.create_run import create_run
from sparse_probing.runs.slurm.squeue import Job
from sparse_probing.runs.status import run_status as status_module
from sparse_probing.runs.status.deaths import last_line
from sparse_probing.runs.status.run_status import run_status
from sparse_probing.runs.tasks.attempt_records import begin_attempt
from tests.builders.odd_paths import put_odd
from tests.builders.runs import cut_short, end_job, fail_task, publish_result, record_jobs, write_log


@pytest.fixture
def run(plant):
    return create_run(plant())


@pytest.fixture
def keys(run):
    return list(run.tasks)


@pytest.fixture(autouse=True)
def queue(monkeypatch):
    """What Slurm reports; as long as nothing is added, it has forgotten all jobs."""
    jobs = {}
    monkeypatch.setattr(status_module, "ask_about", lambda _: jobs)
    return jobs


def first_states(run, n=4):
    return [task.state for task in run_status(run).tasks.values()][:n]


def test_a_job_that_left_a_log_but_began_no_task_died(run, keys):
    submission = record_jobs(run, "slurm", [keys[:2], keys[2:]], "7")
    log = write_log(run, submission, "7_0", "ImportError\n")
    begin_attempt(run.path, keys[2], submission.id)
    assert first_states(run) == ["died", "died", "lost", "died"]
    task = run_status(run).tasks[keys[0]]
    assert (task.job, task.log, task.n_deaths) == ("7_0", log, 1)
    assert task.message == f"Its job 7_0 ended before the task began. Log: {log}"
    assert task.to_json()["log"] == str(log)
    assert run_status(run).tasks[keys[3]].n_deaths == 0  # its job started well


def test_a_job_without_a_log_never_started(run, keys):
    record_jobs(run, "slurm", [keys], "7")
    task = run_status(run).tasks[keys[0]]
    assert (task.state, task.job, task.log) == ("died", "7", None)
    assert task.message == (
        "Its job 7 ended before the task began and left no log: it never started, or was cancelled in Slurm."
    )


def test_a_job_that_slurm_still_has_did_not_die(run, keys, queue):
    submission = record_jobs(run, "slurm", [[key] for key in keys], "7")
    queue[submission.id] = {
        0: Job("7_0", "PENDING", ""),
        1: Job("7_1", "RUNNING", ""),
        2: Job("7_2", "FAILED", ""),
    }
    assert first_states(run) == ["pending", "pending", "died", "died"]


def test_what_was_perhaps_never_handed_over_did_not_die_unless_it_left_a_log(run, keys):
    submission = record_jobs(run, "slurm", [[key] for key in keys], phase="intent")
    assert first_states(run) == ["todo"] * 4
    write_log(run, submission, "7_1", "Killed\n")
    assert first_states(run) == ["todo", "died", "todo", "todo"]


def test_a_cancelled_submission_did_not_die(run, keys):
    submission = record_jobs(run, "slurm", [keys], "7", phase="cancelled")
    write_log(run, submission, "7", "slurmstepd: CANCELLED\n")
    assert first_states(run) == ["todo"] * 4


def test_a_task_whose_result_was_deleted_is_to_do(run, keys):
    """Its job ended in good order, so the missing result is nothing that a log explains."""
    submission = record_jobs(run, "slurm", [[keys[0]], [keys[1]]], "7")
    for job in ("7_0", "7_1"):
        end_job(run, submission, job)
    record_jobs(run, "debug", [[keys[2]]], phase="ended")
    assert first_states(run) == ["todo"] * 4


def test_a_result_counts_more_than_a_death(run, keys):
    submission = record_jobs(run, "slurm", [[key] for key in keys], "7")
    write_log(run, submission, "7_0", "")
    for key in keys[:2]:
        publish_result(run, key)
    cut_short(run.path / "tasks" / keys[1] / "rows.parquet")
    assert first_states(run) == ["done", "corrupt", "died", "died"]


def test_a_process_of_this_machine_that_was_killed(run, keys):
    submission = record_jobs(run, "local", [[key] for key in keys])
    assert first_states(run) == ["died"] * 4
    process = f"Process {submission.pid} on host {submission.host}"
    message = run_status(run).tasks[keys[1]].message
    assert message == f"{process} or one of its worker processes ended before the task began."


def test_tasks_that_a_killed_process_did_not_reach_died_but_it_started_well(run, keys):
    submission = record_jobs(run, "local", [[key] for key in keys])
    begin_attempt(run.path, keys[0], submission.id)
    assert first_states(run) == ["lost", "died", "died", "died"]
    again = record_jobs(run, "debug", [[key] for key in keys])
    begin_attempt(run.path, keys[0], again.id)
    assert {task.n_deaths for task in run_status(run).tasks.values()} == {0}


def test_deaths_in_a_row_are_counted_up_to_an_attempt(run, keys):
    def submit(cluster="slurm", phase="submitted"):
        return record_jobs(run, cluster, [[key] for key in keys], "7", phase)

    first = submit()
    fail_task(run, keys[0], first)
    assert run_status(run).tasks[keys[0]].state == "failed"
    submit()
    submit(phase="cancelled")
    last = submit()
    fail_task(run, keys[1], last)
    assert first_states(run) == ["died", "failed", "died", "died"]
    assert [task.n_deaths for task in run_status(run).tasks.values()] == [2, 0, 3, 3]


@pytest.mark.parametrize(
    ("log", "line"),
    [
        (
            "Traceback\n  File\nImportError: torch\nsrun: error: n1: task 0: Exited with exit code 1\n\n",
            "ImportError: torch",
        ),
        (
            "slurmstepd: error: exceeded memory limit, being killed\n",
            "slurmstepd: error: exceeded memory limit, being killed",
        ),
        ("srun: error: Unable to create step\n", "srun: error: Unable to create step"),
        ("", "(empty)"),
    ],
)
def test_the_last_line_of_a_log_is_that_of_the_program(tmp_path, log, line):
    path = tmp_path / "log"
    path.write_text(log)
    assert last_line(path) == line


@pytest.mark.parametrize("kind", ["pipe", "folder", "link to itself"])
def test_a_log_that_is_not_a_file_does_not_block(tmp_path, kind):
    put_odd(kind, tmp_path / "log")
    assert last_line(tmp_path / "log").startswith("(it cannot be read: ")


def test_of_a_log_of_gigabytes_only_the_end_is_read(tmp_path):
    with (tmp_path / "log").open("wb") as log:
        log.truncate(2**34)  # without taking space on the disk
        log.seek(0, 2)
        log.write(b"\nKilled\n")
    assert last_line(tmp_path / "log") == "Killed"
