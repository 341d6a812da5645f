"""What squeue prints, and what happens without an answer."""

import pytest

from probing_datasets.foundation.errors import TaskError
from sparse_probing.runs.slurm.squeue import Job, ask_queue, cancel_jobs

LISTED = """probe-1|0|12_0|COMPLETED|None
probe-1|1|12_1|RUNNING|None
probe-1|2|12_2|PENDING|JobArrayTaskLimit
probe-2|N/A|15|TIMEOUT|TimeLimit
"""


@pytest.fixture
def command(tmp_path, monkeypatch):
    """A function that puts a shell script in the place of a command of Slurm."""

    def put(name, script):
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    return put


def test_jobs_by_name_and_index(command, tmp_path):
    command("squeue", f"echo \"$*\" > {tmp_path}/arguments; cat <<'E'\n{LISTED}E")
    queue = ask_queue({"probe-2", "probe-1"})
    assert queue == {
        "probe-1": {
            0: Job("12_0", "COMPLETED", "None"),
            1: Job("12_1", "RUNNING", "None"),
            2: Job("12_2", "PENDING", "JobArrayTaskLimit"),
        },
        "probe-2": {0: Job("15", "TIMEOUT", "TimeLimit")},
    }
    assert "--name=probe-1,probe-2" in (tmp_path / "arguments").read_text()


@pytest.mark.parametrize(
    ("state", "live", "running"),
    [
        ("PENDING", True, False),
        ("CONFIGURING", True, False),
        ("REQUEUE_HOLD", True, False),
        ("RUNNING", True, True),
        ("COMPLETING", True, True),
        ("SUSPENDED", True, True),
        ("COMPLETED", False, False),
        ("NODE_FAIL", False, False),
        ("TIMEOUT", False, False),
    ],
)
def test_states_of_slurm(state, live, running):
    job = Job("1", state, "None")
    assert (job.is_live, job.is_running) == (live, running)


def test_without_an_answer_the_jobs_are_unknown(command, caplog):
    command("squeue", "echo 'slurm_load_jobs error: Unable to contact slurm controller' >&2; exit 1")
    assert ask_queue({"probe-1"}) is None
    assert "Unable to contact slurm controller" in caplog.text


def test_without_slurm_the_jobs_are_unknown(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert ask_queue({"probe-1"}) is None
    with pytest.raises(TaskError, match="The jobs probe-1 could not be cancelled: .*scancel"):
        cancel_jobs("probe-1")


def test_slurm_is_not_asked_about_no_jobs(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert ask_queue(set()) == {}
