"""Tasks on this machine: in this process, or in bounded worker processes."""

from __future__ import annotations

import multiprocessing
import signal
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager

from threadpoolctl import threadpool_limits

from probing_datasets.foundation.command_line import INTERRUPTED
from probing_datasets.foundation.errors import TaskError
from probing_datasets.foundation.settings import read_settings
from sparse_probing.runs.planning.run import Run
from sparse_probing.runs.tasks.attempt_task import attempt_task

DEAD_WORKER = (
    "A worker process died, perhaps for want of memory. Finished tasks are kept: "
    "run the same command again, with fewer --workers."
)


def run_here(run: Run, keys: list[str], submission: str) -> Iterator[str]:
    """Do tasks in this process; yield the key of each that ended, well or not."""
    for key in keys:
        # One thread, as each worker has by default: threads that wait for one another on a busy
        # machine made small fits thirty times slower.
        with threadpool_limits(1):
            attempt_task(str(run.path), key, submission)
        yield key


def run_in_processes(run: Run, keys: list[str], submission: str) -> Iterator[str]:
    """Do tasks in ``--workers`` processes, which share the CPUs; yield the key of each that ended, well or not."""
    workers = min(run.config.execution.workers, len(keys))
    threads = max(1, read_settings().n_cpus // workers)
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, context, initializer=_start_worker, initargs=(threads,))
    try:
        with _interrupts_held_back():
            futures = {pool.submit(_attempt_in_worker, str(run.path), key, submission): key for key in keys}
        for future in as_completed(futures):
            _raise_error_of(future)
            yield futures[future]
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


RUNNERS: dict[str, Callable[[Run, list[str], str], Iterator[str]]] = {"debug": run_here, "local": run_in_processes}
"""How tasks are done on this machine, by the value of ``--cluster``."""


def _raise_error_of(future: Future[bool]) -> None:
    try:
        future.result()
    except BrokenProcessPool as error:
        raise TaskError(DEAD_WORKER) from error


@contextmanager
def _interrupts_held_back() -> Iterator[None]:
    """Hold Ctrl-C back; processes started meanwhile hold it back until they do a task."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def _start_worker(threads: int) -> None:
    """Divide the CPUs among the workers, and let Ctrl-C end a task without a traceback of every worker."""
    threadpool_limits(threads)
    for number in (signal.SIGINT, signal.SIGALRM):
        signal.signal(number, lambda *_: sys.exit(INTERRUPTED))
    sys.unraisablehook = _exit_a_little_later


def _exit_a_little_later(unraisable: sys.UnraisableHookArgs) -> None:
    """Ask to exit once more when Ctrl-C came in the middle of a callback, which Python lets survive it."""
    if unraisable.exc_type is SystemExit:
        signal.setitimer(signal.ITIMER_REAL, 0.01)
    else:
        sys.__unraisablehook__(unraisable)


def _attempt_in_worker(run_path: str, key: str, submission: str) -> bool:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    return attempt_task(run_path, key, submission)
