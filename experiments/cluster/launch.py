"""Run the tasks of a configuration: in this process, or in bounded local worker processes."""

from __future__ import annotations

import logging
import multiprocessing
import signal
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any

from threadpoolctl import threadpool_limits
from tqdm import tqdm

from experiments.cluster.publish import read_record
from experiments.cluster.run import Run, Task, plan_run
from experiments.cluster.worker import run_task
from experiments.config import ProbingConfig
from probing_datasets.foundation.command_line import INTERRUPTED
from probing_datasets.foundation.errors import SparseProbingError, TaskError
from probing_datasets.foundation.settings import read_settings

logger = logging.getLogger(__name__)

Outcome = tuple[str, dict[str, Any] | SparseProbingError]
"""Key of a task, and its record or the error that ended it."""

DEAD_WORKER = (
    "A worker process died, perhaps for want of memory. Finished tasks are kept: "
    "run the same command again, with fewer --workers."
)


def run_probing(config: ProbingConfig) -> Run:
    """Run stage 2: do the tasks of a configuration that are not done.

    Returns
    -------
    Run
        The run; `analysis.load_results` reads its rows.

    Raises
    ------
    StoreError, DatasetError
        When the inputs are missing or do not fit.
    TaskError
        When tasks or features failed, naming each; finished results are kept.
    """
    run, problems = do_tasks(config)
    raise_problems(problems)
    return run


def do_tasks(config: ProbingConfig) -> tuple[Run, list[str]]:
    """Do what `run_probing` does, but return what failed, in sentences, beside the run."""
    run = plan_run(config)
    missing = [key for key in run.tasks if read_record(run.path, key) is None]
    logger.info("%d tasks, %d to do, in %s", len(run.tasks), len(missing), run.path)
    outcomes = LAUNCHERS[config.cluster](run, missing) if missing else iter(())
    bar = tqdm(outcomes, total=len(missing), desc=", ".join(config.experiment_type), unit=" tasks", disable=None)
    errors = {key: result for key, result in bar if isinstance(result, SparseProbingError)}
    return run, _problems(run, errors)


def raise_problems(problems: list[str]) -> None:
    """Raise TaskError with the problems of a run, when there are any."""
    if problems:
        raise TaskError(f"{len(problems)} parts of the run failed; the others are kept.\n" + "\n".join(problems))


def _run_here(run: Run, keys: list[str]) -> Iterator[Outcome]:
    for key in keys:
        try:
            # One thread, as each worker has by default: threads that wait for one another on a busy
            # machine made small fits thirty times slower.
            with threadpool_limits(1):
                record = run_task(str(run.path), key)
            yield key, record
        except SparseProbingError as error:
            yield key, error


def _run_in_processes(run: Run, keys: list[str]) -> Iterator[Outcome]:
    workers = min(run.config.workers, len(keys))
    threads = max(1, read_settings().n_cpus // workers)
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, context, initializer=_start_worker, initargs=(threads,))
    try:
        with _interrupts_held_back():
            futures = {pool.submit(_run_in_worker, str(run.path), key): key for key in keys}
        for future in as_completed(futures):
            error = future.exception()
            if isinstance(error, BrokenProcessPool):
                raise TaskError(DEAD_WORKER) from error
            if error is not None and not isinstance(error, SparseProbingError):
                raise error
            yield futures[future], error or future.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


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
    signal.signal(signal.SIGINT, lambda *_: sys.exit(INTERRUPTED))


def _run_in_worker(run_path: str, key: str) -> dict[str, Any]:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    return run_task(run_path, key)


LAUNCHERS: dict[str, Callable[[Run, list[str]], Iterator[Outcome]]] = {
    "debug": _run_here,
    "local": _run_in_processes,
}
"""How tasks are run, by the value of ``--cluster``."""


def _problems(run: Run, errors: dict[str, SparseProbingError]) -> list[str]:
    problems = [f"task {key} ({_name(run.tasks[key])}): {error}" for key, error in errors.items()]
    for key in run.tasks:
        record = read_record(run.path, key) or {}
        for feature, message in record.get("failed_features", {}).items():
            problems.append(f"{_name(run.tasks[key])}, feature {feature}: {message}")
    return problems


def _name(task: Task) -> str:
    return f"{task.study}, layer {task.layer}"
