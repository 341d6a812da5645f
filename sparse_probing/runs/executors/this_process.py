"""Tasks in this process, one after the other: ``--cluster debug``."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from tqdm import tqdm

from sparse_probing.config import Cluster
from sparse_probing.probes.inputs.one_thread import one_thread
from sparse_probing.runs.locks import locked
from sparse_probing.runs.planning.run_record import Run
from sparse_probing.runs.status.run_status import RunStatus
from sparse_probing.runs.status.waiting import wait_for_tasks
from sparse_probing.runs.submissions import Submission, alive_lock, new_submission, record_submission
from sparse_probing.runs.tasks.entry_points import attempt_task


class ThisProcess:
    """Runs submitted tasks in `wait`; they end with this process."""

    cluster: Cluster = "debug"

    def __init__(self) -> None:
        self._submission: Submission | None = None
        self._alive = ExitStack()

    def submit(self, run: Run, keys: list[str]) -> Submission | None:
        """Record that this process is going to run some tasks."""
        if not keys:
            return None
        submission = new_submission("probe", self.cluster, len(keys), [[key] for key in keys])
        self._submission = replace(submission, phase="submitted")
        # Locked before it is recorded: a process that reads the record finds that this one lives.
        self._alive.enter_context(locked(alive_lock(run.folder, self._submission)))
        record_submission(run.folder, self._submission)
        return self._submission

    def wait(self, run: Run, keys: list[str]) -> RunStatus:
        """Run the submitted tasks, then wait for those of these tasks that other processes run."""
        submission, self._submission = self._submission, None
        if submission is not None:
            with self._alive, _sigterm_as_ctrl_c():
                self._run_tasks(run, submission, [key for (key,) in submission.keys_of(run)])
        return wait_for_tasks(run, keys)

    def cancel(self, _folder: Path, submission: Submission) -> str:
        """Return where the process can be stopped; only the person who started it can stop it."""
        process = f"Process {submission.pid} on host {submission.host}"
        return f"{process} is still running these tasks. Stop it there with Ctrl-C."

    def _run_tasks(self, run: Run, submission: Submission, keys: list[str]) -> None:
        try:
            for key in tqdm(keys, desc=", ".join(run.config.experiment_type), unit=" tasks", disable=None):
                # One thread, the default of a worker process too: on a busy machine, threads that wait for one
                # another made small fits thirty times slower.
                with one_thread():
                    attempt_task(str(run.path), key, submission.id)
        finally:
            record_submission(run.folder, replace(submission, phase="ended"))


@contextmanager
def _sigterm_as_ctrl_c() -> Iterator[None]:
    """Let SIGTERM end the tasks like Ctrl-C. Without effect outside the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handler = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, handler or signal.SIG_DFL)
