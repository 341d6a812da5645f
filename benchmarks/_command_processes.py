"""Commands of this project, each in a process that can be killed at a chosen write and ends after a time limit."""

from __future__ import annotations

import io
import multiprocessing
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import RLock
from typing import Literal
from unittest.mock import patch

from tqdm import tqdm

FORKS = multiprocessing.get_context("forkserver")
"""Processes are forked from one that has imported everything once, and has no threads."""

PRELOADED = ["benchmarks._fault_subjects", "transformers.models.gpt_neox.modeling_gpt_neox"]

Ending = Literal["done", "refused", "traceback", "no answer", "killed"]
"""done: exit status 0. refused: one sentence for the user. no answer: ended after the time limit."""


@dataclass(frozen=True)
class Outcome:
    """How a process ended, and what it printed."""

    ending: Ending
    printed: str


def import_once() -> None:
    """Start the process that all others are forked from, and wait until it has imported everything."""
    FORKS.set_forkserver_preload(PRELOADED)
    first = FORKS.Process(target=time.sleep, args=(0,))
    first.start()
    first.join()


def run_process(
    call: Callable[[], int],
    folder: Path,
    environment: Mapping[str, str],
    kill_after: int | None = None,
    time_limit: float = 180,
) -> Outcome:
    """Make a call in a process and wait for it.

    Parameters
    ----------
    call : Callable
        Returns the exit status; can be pickled.
    folder : Path
        Working directory. The output is written into ``output.txt`` beside it.
    environment : Mapping
        Variables that are set.
    kill_after : int, optional
        The process is killed with SIGKILL right after it has put so many files into place.
    time_limit : float
        Seconds after which it is killed.
    """
    log = folder.parent / "output.txt"
    process = FORKS.Process(target=_call, args=(call, folder, dict(environment), log, kill_after))
    process.start()
    process.join(time_limit)
    if process.exitcode is None:
        process.kill()
        process.join()
        return Outcome("no answer", log.read_text(errors="replace"))
    printed = log.read_text(errors="replace")
    if process.exitcode == -signal.SIGKILL:
        return Outcome("killed", printed)
    if process.exitcode == 0:
        return Outcome("done", printed)
    one_sentence = process.exitcode > 0 and "Traceback (most recent" not in printed
    one_sentence &= "The traceback is in" not in printed and "error:" in printed
    return Outcome("refused" if one_sentence else "traceback", printed)


def _call(
    call: Callable[[], int], folder: Path, environment: dict[str, str], log: Path, kill_after: int | None
) -> None:
    descriptor = os.open(log, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o644)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    sys.stdin = io.StringIO()
    tqdm.set_lock(RLock())  # its default is a system semaphore, which a killed process would not release
    os.environ.update(environment)  # noqa: TID251 (of a process that makes one call)
    os.chdir(folder)
    try:
        with _killed_after(kill_after):
            status = call()
    except SystemExit as exit_:
        status = exit_.code if isinstance(exit_.code, int) else 1
    except BaseException:
        traceback.print_exc()
        status = 70
    sys.stdout.flush()
    sys.exit(status)


@contextmanager
def _killed_after(n_files: int | None) -> Iterator[None]:
    """Let this process kill itself when it has put a number of files or folders into place."""
    if n_files is None:
        yield
        return
    left, replace, rename = n_files, Path.replace, Path.rename

    def counted(move: Callable[[Path, str], Path]) -> Callable[[Path, str], Path]:
        def wrapper(path: Path, target: str) -> Path:
            nonlocal left
            moved = move(path, target)
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return moved

        return wrapper

    with ExitStack() as stack:
        stack.enter_context(patch.object(Path, "replace", counted(replace)))
        stack.enter_context(patch.object(Path, "rename", counted(rename)))
        yield
