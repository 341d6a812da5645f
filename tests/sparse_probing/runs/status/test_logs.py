"""What is printed about a task, when its logs are not what a job writes."""

import pytest

from sparse_probing.runs.planning.create_run import create_run
from sparse_probing.runs.status.logs import log_of_submission, log_of_task
from sparse_probing.runs.submissions import END_OF_LOG
from tests.builders.odd_paths import put_odd
from tests.builders.runs import publish_result, record_jobs, write_log


@pytest.fixture
def run(plant):
    return create_run(plant())


@pytest.mark.parametrize("kind", ["pipe", "folder", "link to itself"])
def test_a_log_that_is_not_a_file_is_one_line(run, kind):
    key = next(iter(run.tasks))
    submission = record_jobs(run, "slurm", [[key]], "12")
    log = write_log(run, submission, "12", "")
    put_odd(kind, log)
    for lines in (log_of_task(run, key), log_of_submission(run.folder, submission)):
        assert list(lines)[-1].startswith(f"{log} cannot be read: ")


def test_of_a_long_log_only_the_end_is_read(run):
    key = next(iter(run.tasks))
    submission = record_jobs(run, "slurm", [[key]], "12")
    log = write_log(run, submission, "12", "one\ntwo\n")
    assert list(log_of_task(run, key))[-3:] == [f"{log}, the last 2 of 2 lines:", "  one", "  two"]
    with log.open("ab") as file:
        file.truncate(END_OF_LOG * 2**14)
        file.seek(0, 2)
        file.write(b"\n" + b"line\n" * 50)
    assert list(log_of_task(run, key))[-41:] == [f"{log}, the last 40 lines:", *["  line"] * 40]


@pytest.mark.parametrize("job", ["*", "../logs/12"])
def test_the_job_that_a_record_names_is_not_a_pattern_or_a_path(run, job):
    first, second, *_ = run.tasks
    submission = record_jobs(run, "slurm", [[second]], "12")
    write_log(run, submission, "12", "of another task\n")
    publish_result(run, first, job=job)
    assert list(log_of_task(run, first))[-1] == f"done in 2.0 s on host, job {job}"
    publish_result(run, second, job="12")
    assert list(log_of_task(run, second))[-1] == "  of another task"
