"""Jobs at their time limit, with the handlers of submitit: requeued, unless they saved nothing twice in a row."""

import os
import signal

import pytest
from submitit.core.utils import DelayedSubmission, JobPaths, UncompletedJobError
from submitit.slurm.slurm import SlurmJobEnvironment

from sparse_probing.runs.planning.create_run import create_run
from sparse_probing.runs.slurm import resumable
from sparse_probing.runs.slurm.resumable import SAVED, Resumable
from sparse_probing.runs.status.run_status import run_status
from sparse_probing.runs.tasks import entry_points
from sparse_probing.runs.tasks.entry_points import harvest_share, run_entry

HOUR = 60


@pytest.fixture
def time_out(tmp_path, monkeypatch):
    """A function that calls a job's function again as Slurm does, each time in a new process, up to its time limit."""
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setattr(SlurmJobEnvironment, "_requeue", lambda self, countdown: None)
    numbers = (signal.SIGTERM, signal.SIGCONT, signal.SIGUSR2)
    before = {number: signal.getsignal(number) for number in numbers}
    paths = JobPaths(tmp_path, "7")
    yield lambda call, **state: _start(paths, call, monkeypatch, **state)
    for number, handler in before.items():
        signal.signal(number, handler)
    SAVED.clear()


def _start(paths, call, monkeypatch, saved=(), seconds=3000):
    """Start a call, or for None what the previous one left; raise what ends the process."""
    if call is not None:
        call.set_timeout(HOUR, 9)
        call.dump(paths.submitted_pickle)
    loaded = DelayedSubmission.load(paths.submitted_pickle)
    SAVED[:] = saved
    monkeypatch.setattr(resumable, "START", resumable.time.monotonic() - seconds)
    SlurmJobEnvironment()._handle_signals(paths, loaded)
    loaded.result()


def run_out_of_time(*_arguments):
    os.kill(os.getpid(), signal.SIGUSR2)
    signal.sigtimedwait([], 1)
    raise AssertionError("nothing ended the process")


def test_a_job_that_saves_something_is_requeued(time_out):
    call = DelayedSubmission(Resumable(run_out_of_time, HOUR))
    for _ in range(4):
        with pytest.raises(SystemExit):
            time_out(call, saved=["a feature"])
        call = None


def test_a_job_that_saves_nothing_is_requeued_once(time_out):
    with pytest.raises(SystemExit):
        time_out(DelayedSubmission(Resumable(run_out_of_time, HOUR)))
    with pytest.raises(SystemExit):  # saved something after all: it may try twice again
        time_out(None, saved=["a feature"])
    with pytest.raises(SystemExit):
        time_out(None)
    with pytest.raises(SystemExit):  # preempted early
        time_out(None, seconds=60)
    with pytest.raises(UncompletedJobError, match="not requeued"):
        time_out(None)


def test_a_harvest_is_always_requeued(time_out, monkeypatch):
    monkeypatch.setattr("sparse_probing.activations.harvest.harvest", run_out_of_time)
    monkeypatch.setattr(entry_points.HarvestConfig, "from_record", run_out_of_time)
    call = DelayedSubmission(Resumable(harvest_share, HOUR), {}, 0, 1)
    for _ in range(3):
        with pytest.raises(SystemExit):
            time_out(call)
        call = None


@pytest.mark.parametrize(("saved", "state"), [([], "failed"), (["a feature"], "todo")])
def test_status_says_why_a_task_is_not_tried_again(plant, time_out, monkeypatch, saved, state):
    run = create_run(plant())
    key = next(iter(run.tasks))
    monkeypatch.setattr(entry_points, "run_task", run_out_of_time)
    call = DelayedSubmission(Resumable(run_entry, HOUR, is_last_try=True), str(run.path), [key], "none")
    with pytest.raises(UncompletedJobError if not saved else SystemExit):
        time_out(call, saved=saved)
    task = run_status(run).tasks[key]
    assert task.state == state
    if not saved:
        assert task.message.startswith(
            "Its job ran out of time before it had finished one feature, and was not requeued"
        )
        assert "--retry_failed and a longer --time" in task.message
