"""The program of a worker process: ``python -m sparse_probing.runs.tasks.worker RUN SUBMISSION THREADS``.

It reads keys of tasks from its standard input, a line each, runs them, and answers each with a line of JSON: null; or
the number, text and file of an error of the disk that ended it; or the text of a damaged or outdated record of the run,
without a number. When its input ends, because the launcher closed it or died, however it died, the worker ends too.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from contextlib import suppress
from queue import SimpleQueue

from threadpoolctl import threadpool_limits

from probing_datasets.foundation.command_line import INTERRUPTED, prepare_output
from probing_datasets.foundation.errors import CodeChangedError, DamagedFileError
from sparse_probing.runs.tasks.entry_points import attempt_task

GRACE_SECONDS = 10
"""How long a task may take to end in good order, with what its search found, before the process is ended."""


def main(run_path: str, submission: str, threads: int) -> None:
    """Run tasks until the input ends."""
    # What libraries print goes to the standard error: the standard output belongs to the answers.
    answers = os.dup(1)
    os.dup2(2, 1)
    prepare_output()
    for number in (signal.SIGINT, signal.SIGTERM):  # end a task without a traceback of every worker
        signal.signal(number, lambda *_: sys.exit(INTERRUPTED))
    sys.unraisablehook = _exit_again_soon
    keys: SimpleQueue[str] = SimpleQueue()
    running = threading.Lock()
    threading.Thread(target=_read_keys, args=(keys, running), daemon=True).start()
    with threadpool_limits(threads):
        while key := keys.get():
            error = None
            try:
                with running:
                    attempt_task(run_path, key, submission)
            except OSError as failure:
                error = [failure.errno, failure.strerror, failure.filename]
            except (CodeChangedError, DamagedFileError) as failure:
                error = [None, str(failure), None]
            with suppress(BrokenPipeError):  # the launcher has died
                os.write(answers, f"{json.dumps(error)}\n".encode())


def _read_keys(keys: SimpleQueue[str], running: threading.Lock) -> None:
    """Queue the keys of the input; at its end, end the process: while it runs a task, by an interruption."""
    # Not sys.stdin: a thread that waits for it blocks the exit of Python.
    with open(0, "rb", buffering=0, closefd=False) as lines:
        for line in lines:
            keys.put(line.decode().strip())
    keys.put("")
    if running.locked():
        _interrupt()
    time.sleep(GRACE_SECONDS)
    os._exit(INTERRUPTED)


def _interrupt() -> None:
    os.kill(os.getpid(), signal.SIGINT)  # a real signal, which also ends a sleep or a wait of the main thread


def _exit_again_soon(unraisable: sys.UnraisableHookArgs) -> None:
    """Exit once more a little later when the interruption arrived inside a callback, where Python ignores the exit."""
    if unraisable.exc_type is SystemExit:
        threading.Timer(0.01, _interrupt).start()
    else:
        sys.__unraisablehook__(unraisable)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
