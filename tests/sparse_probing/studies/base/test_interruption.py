"""Signals that are held back during a computation and delivered after it."""

import signal
import threading

import pytest

from sparse_probing.studies.base.interruption import SIGNALS, Interrupted, deliver, interrupted, signals_noted


@pytest.fixture(autouse=True)
def nothing_noted():
    yield
    with signals_noted():
        pass
    assert not interrupted()


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_is_held_back_and_then_delivered_once(number):
    delivered = []
    ordinary_handler = signal.signal(number, lambda *arguments: delivered.append(arguments[0]))
    try:
        with signals_noted():
            signal.raise_signal(number)
            assert interrupted()
            assert not delivered
        assert interrupted()
        with pytest.raises(Interrupted, match=signal.Signals(number).name):  # because the handler returned
            deliver()
        assert delivered == [number]
        assert not interrupted()
        deliver()
        assert delivered == [number]
    finally:
        signal.signal(number, ordinary_handler)


def test_a_second_ctrl_c_is_not_held_back():
    with signals_noted():
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert not interrupted()  # a later computation of this process, as in a notebook, runs to its end


def interrupt_and_fail(error):
    signal.raise_signal(signal.SIGINT)
    raise error


def test_an_error_inside_does_not_leave_a_signal_for_a_later_computation():
    with pytest.raises(KeyboardInterrupt) as caught, signals_noted():
        interrupt_and_fail(ValueError("a fit failed"))
    assert isinstance(caught.value.__context__, ValueError)
    assert not interrupted()


def test_an_inner_block_does_not_deliver():
    with signals_noted():
        with pytest.raises(ValueError, match="failed"), signals_noted():
            interrupt_and_fail(ValueError("failed"))
        assert interrupted()
    with pytest.raises(KeyboardInterrupt):
        deliver()


@pytest.fixture
def handlers_of_submitit(tmp_path, monkeypatch):
    """The handlers that submitit installs in a job, for a call that can be made again."""
    from submitit.core.utils import DelayedSubmission, JobPaths
    from submitit.slurm.slurm import SlurmJobEnvironment

    from sparse_probing.runs.slurm.resumable import Resumable

    before = {number: signal.getsignal(number) for number in (*SIGNALS, signal.SIGCONT)}
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    requeued = []
    monkeypatch.setattr(SlurmJobEnvironment, "_requeue", lambda self, countdown: requeued.append(countdown))
    call = DelayedSubmission(Resumable(print, 60))
    call.set_timeout(60, 3)
    SlurmJobEnvironment()._handle_signals(JobPaths(tmp_path, "7"), call)
    yield requeued
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize(
    ("numbers", "error", "n_requeued"),
    [
        ([signal.SIGTERM], Interrupted, 0),
        ([signal.SIGTERM, signal.SIGTERM], Interrupted, 0),
        ([signal.SIGUSR2], SystemExit, 1),
        ([signal.SIGTERM, signal.SIGUSR2], SystemExit, 1),
    ],
)
def test_in_a_job_of_submitit_nothing_continues_after_a_signal(handlers_of_submitit, numbers, error, n_requeued):
    """submitit ignores SIGTERM, and requeues the job at the signal of a preemption."""
    with signals_noted():
        for number in numbers:
            signal.raise_signal(number)
    with pytest.raises(error):
        deliver()
    assert len(handlers_of_submitit) == n_requeued


def test_handlers_are_put_back():
    before = [signal.getsignal(number) for number in SIGNALS]
    with signals_noted():
        assert [signal.getsignal(number) for number in SIGNALS] != before
    assert [signal.getsignal(number) for number in SIGNALS] == before


def test_another_thread_does_not_change_the_handlers():
    before, seen = [signal.getsignal(number) for number in SIGNALS], []

    def look():
        with signals_noted():
            seen.extend(signal.getsignal(number) for number in SIGNALS)

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert seen == before
