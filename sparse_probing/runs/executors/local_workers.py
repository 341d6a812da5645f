"""Tasks in worker processes of this machine, which share its CPUs: ``--cluster local``."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from queue import Empty, SimpleQueue

from tqdm import tqdm

from probing_datasets.foundation.environment import environment_of_a_program, read_settings
from probing_datasets.foundation.errors import TaskError
from sparse_probing.config import Cluster
from sparse_probing.runs.executors.this_process import ThisProcess
from sparse_probing.runs.planning.run_record import Run
from sparse_probing.runs.submissions import Submission, record_submission

WORKER = (sys.executable, "-P", "-m", "sparse_probing.runs.tasks.worker")
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
        n_workers = min(self.workers, len(keys))
        threads = max(1, read_settings().n_cpus // n_workers)
        waiting: SimpleQueue[str] = SimpleQueue()
        for key in keys:
            waiting.put(key)
        answers: SimpleQueue[str] = SimpleQueue()
        ended_in_order = True
        try:
            with _workers(n_workers, [str(run.path), submission.id, str(threads)]) as workers:
                for worker in workers:
                    threading.Thread(target=_hand_over, args=(worker, waiting, answers), daemon=True).start()
                name = ", ".join(run.config.experiment_type)
                for _ in tqdm(keys, desc=name, unit=" tasks", disable=None):
                    answer = answers.get()
                    if not answer:
                        ended_in_order = False
                        raise TaskError(DEAD_WORKER)
                    if error := json.loads(answer):
                        number, text, file = error
                        raise TaskError(text) if number is None else OSError(number, text, file)
        finally:
            if ended_in_order:
                record_submission(run.folder, replace(submission, phase="ended"))


@contextmanager
def _workers(n_workers: int, arguments: list[str]) -> Iterator[list[subprocess.Popen[str]]]:
    """Start worker processes; at the end close their input, which ends them, and wait for that.

    Each has its own session: Ctrl-C in a terminal reaches this process only, which ends them in good order.
    A second Ctrl-C kills them.
    """
    workers: list[subprocess.Popen[str]] = []
    try:
        for _ in range(n_workers):
            workers.append(
                subprocess.Popen(
                    [*WORKER, *arguments],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                    encoding="utf-8",
                    start_new_session=True,
                    env=environment_of_a_program(),
                )
            )
        yield workers
    finally:
        try:
            for worker in workers:
                with suppress(OSError):  # the worker has died
                    worker.stdin.close()  # pyright: ignore[reportOptionalMemberAccess]
            for worker in workers:
                worker.wait()
                worker.stdout.close()  # pyright: ignore[reportOptionalMemberAccess]
        except KeyboardInterrupt:
            for worker in workers:
                worker.kill()
            raise


def _hand_over(worker: subprocess.Popen[str], waiting: SimpleQueue[str], answers: SimpleQueue[str]) -> None:
    """Give a worker one task after the other; queue its answers, an empty one when it has died."""
    with suppress(Empty, ValueError):  # no task is left, or the input of the worker was closed
        while True:
            key = waiting.get_nowait()
            try:
                print(key, file=worker.stdin, flush=True)
                answer = worker.stdout.readline()  # pyright: ignore[reportOptionalMemberAccess]
            except BrokenPipeError:
                answer = ""
            answers.put(answer)
            if not answer:
                return
