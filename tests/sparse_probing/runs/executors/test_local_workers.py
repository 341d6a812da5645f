"""Worker processes of this machine: one that dies, and what they import."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil
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

DEADLY = (sys.executable, "-c", "import os; os._exit(9)")
"""A worker that ends at its start, as when the kernel kills it because memory runs out."""


@pytest.fixture
def config(plant):
    return plant().with_flags(cluster="local", workers=1)


def test_a_worker_that_dies_before_its_task_is_reported_and_the_tasks_died(config, monkeypatch):
    monkeypatch.setattr(local_workers, "WORKER", DEADLY)
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
    monkeypatch.setattr(local_workers, "WORKER", DEADLY)
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


LAUNCHER = """
import sys
import probing_experiment
from sparse_probing.runs.executors import local_workers

local_workers.WORKER = (sys.executable, "-c", {worker!r})
sys.exit(probing_experiment.main())
"""
WORKER = """
import os, sys, time
from pathlib import Path
from types import SimpleNamespace
import numpy as np

def attempt_task(run_path, key, submission):
    folder = Path({folder!r})
    if len(list(folder.iterdir())) < 2:
        (folder / str(os.getpid())).touch()
        work()

{work}
sys.modules["sparse_probing.runs.tasks.entry_points"] = SimpleNamespace(attempt_task=attempt_task)
from sparse_probing.runs.tasks import worker
worker.main(sys.argv[1], sys.argv[2], 1)
"""
"""The real program with other tasks: the first two take a minute, the others no time."""
SLEEP = "def work(): time.sleep(60)"
COMPUTE = "def work(): [np.ones((500, 500)) @ np.ones((500, 500)) for _ in range(100_000)]"
INSIDE_A_SEARCH = """
from sparse_probing.studies.base.interruption import deliver, interrupted, signals_noted

def work():
    with signals_noted():
        while not interrupted():
            time.sleep(0.01)
    deliver()
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("signals", "gap", "work"),
    [
        ([signal.SIGINT], 0, INSIDE_A_SEARCH),
        ([signal.SIGINT, signal.SIGINT], 0.15, COMPUTE),
        ([signal.SIGTERM], 0, SLEEP),
        ([signal.SIGKILL], 0, COMPUTE),
    ],
)
def test_however_the_launcher_ends_it_leaves_no_process_behind(plant, tmp_path, signals, gap, work):
    """Four workers, of which two have a task and two have nothing to do."""
    plant()
    folder = tmp_path / "started"
    folder.mkdir()
    script = LAUNCHER.format(worker=WORKER.format(folder=str(folder), work=work))
    command = [sys.executable, "-c", script, *PLANTED_FLAGS, "--cluster", "local", "--workers", "4"]
    command += ["--max_k", "4", "--features_per_task", "1"]
    launcher = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    deadline = time.monotonic() + 120
    while len(list(folder.iterdir())) < 2:
        assert launcher.poll() is None, launcher.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    processes = psutil.Process(launcher.pid).children(recursive=True)
    assert len(processes) == 4  # the workers, and nothing else that could stay behind
    for number in signals:
        with suppress(ProcessLookupError):
            os.killpg(launcher.pid, number)
        time.sleep(gap)
    _, err = launcher.communicate(timeout=20)
    _, alive = psutil.wait_procs(processes, timeout=5)
    assert not alive
    if signals == [signal.SIGKILL]:
        assert launcher.returncode == -signal.SIGKILL
    elif len(signals) == 1:
        assert launcher.returncode == 130
        assert err.splitlines()[-1].startswith("interrupted: finished work is kept")
    assert "Traceback" not in err or len(signals) > 1, err


def test_the_errors_of_a_disk_reach_the_launcher(config, monkeypatch):
    program = 'import os; os.read(0, 1); os.write(1, b\'[28, "No space left on device", "rows.parquet"]\\n\')'
    monkeypatch.setattr(local_workers, "WORKER", (sys.executable, "-c", program))
    with pytest.raises(OSError, match=r"No space left on device: 'rows.parquet'"):
        run_probing(config)
