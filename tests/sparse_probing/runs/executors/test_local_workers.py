"""Worker processes of this machine: one that dies, and what they import."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import probing_experiment
from probing_datasets.foundation.errors import TaskError
from sparse_probing.runs.executors import local_workers
from sparse_probing.runs.launch import run_probing
from sparse_probing.runs.planning.create_run import create_run
from sparse_probing.runs.status.run_status import run_status
from sparse_probing.runs.submissions import read_submissions
from sparse_probing.runs.tasks.attempt_records import begin_attempt
from tests.builders.runs import PLANTED_FLAGS, folder_with_traps


class Deadly:
    """Ends the process that unpickles it, as the kernel does when memory runs out."""

    def __reduce__(self):
        return os._exit, (9,)


@pytest.fixture
def config(plant):
    return plant().with_flags(cluster="local", workers=1)


def test_a_worker_that_dies_before_its_task_is_reported_and_the_tasks_died(config, monkeypatch):
    monkeypatch.setattr(local_workers, "_attempt_in_worker", Deadly())
    with pytest.raises(TaskError, match=r"A worker process died.*fewer --workers"):
        run_probing(config)
    monkeypatch.undo()
    status = run_status(create_run(config))
    assert status.counts["died"] == 4
    message = next(iter(status.tasks.values())).message
    assert message.startswith(f"Process {os.getpid()} on host ")
    assert message.endswith("or one of its worker processes ended before the task began.")
    assert run_status(run_probing(config)).all_done


def test_when_a_worker_dies_during_a_task_the_others_have_died_with_the_reason(config, monkeypatch):
    run = create_run(config)
    monkeypatch.setattr(local_workers, "_attempt_in_worker", Deadly())
    new_submission = local_workers.ThisProcess.submit

    def submit(self, run, keys):
        submission = new_submission(self, run, keys)
        assert submission
        begin_attempt(run.path, keys[0], submission.id)
        return submission

    monkeypatch.setattr(local_workers.LocalWorkers, "submit", submit)
    with pytest.raises(TaskError, match="A worker process died"):
        run_probing(config)
    status = run_status(run)
    assert [task.state for task in status.tasks.values()] == ["lost", "died", "died", "died"]
    message = status.tasks[list(run.tasks)[1]].message
    assert message.endswith("or one of its worker processes ended before the task began.")


def test_a_submission_that_ran_all_its_tasks_has_ended(config):
    run = run_probing(config)
    assert [submission.phase for submission in read_submissions(run.folder)] == ["ended"]


def test_workers_import_nothing_from_the_working_directory(plant, tmp_path):
    plant()
    command = [
        sys.executable,
        "-P",
        probing_experiment.__file__,
        *PLANTED_FLAGS,
        "--cluster",
        "local",
        "--workers",
        "2",
    ]
    environment = os.environ | {"PYTHONPATH": str(Path(probing_experiment.__file__).parent)}
    folder = folder_with_traps(tmp_path / "folder of a user")
    done = subprocess.run(
        [*command, "--max_k", "4"], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "L1.5" in done.stdout


WITH_A_TRAP = """
import multiprocessing, sys

from probing_datasets.foundation.environment import safe_import_path

if __name__ == "__main__":
    context = multiprocessing.get_context("spawn")
    with safe_import_path():
        process = context.Process(target=print, args=("alive",))
        process.start()
    process.join()
    sys.exit(process.exitcode)
"""


def test_a_process_that_starts_does_not_take_the_standard_library_from_the_working_directory(tmp_path):
    """Python imports modules before the new process has the import path of its parent."""
    folder = folder_with_traps(tmp_path / "folder of a user")
    (folder / "multiprocessing.py").write_text("raise ImportError('multiprocessing of the working directory')\n")
    script = tmp_path / "script.py"
    script.write_text(WITH_A_TRAP)
    environment = os.environ | {"PYTHONPATH": str(Path(probing_experiment.__file__).parent)}
    done = subprocess.run([sys.executable, script], cwd=folder, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "alive\n"), done.stderr
