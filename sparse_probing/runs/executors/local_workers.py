"""Tasks in worker processes of this machine, which share its CPUs: ``--cluster local``."""

from __future__ import annotations

import multiprocessing
import signal
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import replace

from threadpoolctl import threadpool_limits
from tqdm import tqdm

from probing_datasets.foundation.command_line import INTERRUPTED
from probing_datasets.foundation.environment import read_settings, safe_import_path
from probing_datasets.foundation.errors import TaskError
from sparse_probing.config import Cluster
from sparse_probing.runs.executors.this_process import ThisProcess
from sparse_probing.runs.planning.run_record import Run
from sparse_probing.runs.submissions import Submission, record_submission
from sparse_probing.runs.tasks.entry_points import attempt_task

DEAD_WORKER = (
    "A worker process died, perhaps because there was too little memory. Finished tasks are kept: "
    "run the same command again, with fewer --workers."
)


class LocalWorkers(ThisProcess):
    """Runs submitted tasks in `wait`, in a number of worker processes; they end with this process."""

    cluster: Cluster = "local"

    def __init__(self, workers: int) -> None:
        super().__init__()
        self.workers = workers

    def _run_tasks(self, run: Run, submission: Submission, keys: list[str]) -> None:
        workers = min(self.workers, len(keys))
        threads = max(1, read_settings().n_cpus // workers)
        context = multiprocessing.get_context("spawn")
        pool = ProcessPoolExecutor(workers, context, initializer=_start_worker, initargs=(threads,))
        ended_in_order = True
        try:
            with _interrupts_held_back(), safe_import_path():
                futures = [pool.submit(_attempt_in_worker, str(run.path), key, submission.id) for key in keys]
            name = ", ".join(run.config.experiment_type)
            for future in tqdm(as_completed(futures), total=len(keys), desc=name, unit=" tasks", disable=None):
                future.result()
        except BrokenProcessPool as error:
            ended_in_order = False
            raise TaskError(DEAD_WORKER) from error
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
            if ended_in_order:
                record_submission(run.folder, replace(submission, phase="ended"))


@contextmanager
def _interrupts_held_back() -> Iterator[None]:
    """Hold Ctrl-C back; processes that are started meanwhile hold it back until they run a task."""
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
    sys.unraisablehook = _exit_again_soon


def _exit_again_soon(unraisable: sys.UnraisableHookArgs) -> None:
    """Exit once more a little later when Ctrl-C arrived inside a callback, where Python ignores the exit."""
    if unraisable.exc_type is SystemExit:
        signal.setitimer(signal.ITIMER_REAL, 0.01)
    else:
        sys.__unraisablehook__(unraisable)


def _attempt_in_worker(run_path: str, key: str, submission: str) -> bool:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    return attempt_task(run_path, key, submission)
