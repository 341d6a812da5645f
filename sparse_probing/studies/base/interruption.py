"""Signals that end a long computation: noted while it runs, and delivered when its result is safe."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

NAMES = ("SIGINT", "SIGTERM", "SIGUSR1", "SIGUSR2")
"""Ctrl-C, the end of a job, and the signals that submitit can make Slurm send before a time limit."""
SIGNALS = tuple(signal.Signals[name] for name in NAMES if name in signal.Signals.__members__)
"""Those of this system; Windows has only the first two."""

_noted: list[int] = []


class Interrupted(KeyboardInterrupt):
    """Work was interrupted by a signal whose handler returned; what it computed so far is not a finished result."""


def interrupted() -> bool:
    """Whether a signal arrived that has not been delivered."""
    return bool(_noted)


def deliver() -> None:
    """Raise the signals that arrived, so that their ordinary handlers run; do nothing when none arrived.

    Raises
    ------
    Interrupted
        When every handler returns, as submitit's handler of SIGTERM does. The caller must not continue then: its
        computation ended early, and the process is about to be killed.
    """
    if _noted:
        numbers = list(dict.fromkeys(_noted))
        _noted.clear()
        for number in numbers:  # all of them: after a SIGTERM that is ignored, another may requeue the job
            signal.raise_signal(number)
        names = " and ".join(signal.Signals(number).name for number in numbers)
        raise Interrupted(f"interrupted by {names}: finished work is kept, and the rest is still to do.")


def _note(number: int, _frame: FrameType | None) -> None:
    if _noted and number == signal.SIGINT:
        _noted.clear()
        raise KeyboardInterrupt
    _noted.append(number)


@contextmanager
def signals_noted() -> Iterator[None]:
    """Note signals instead of being ended by them, except a second Ctrl-C. Without effect outside the main thread.

    Inside another such block it changes nothing. When the block raises an error, the signals are delivered at once,
    so that none is left over for a later computation.
    """
    if signal.getsignal(signal.SIGINT) is _note or threading.current_thread() is not threading.main_thread():
        yield
        return
    ordinary_handlers = {number: signal.signal(number, _note) for number in SIGNALS}
    has_ended = False
    try:
        yield
        has_ended = True
    finally:
        for number, handler in ordinary_handlers.items():
            signal.signal(number, handler or signal.SIG_DFL)
        if not has_ended:
            deliver()
