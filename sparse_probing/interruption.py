"""Signals that ask a long computation to end: noted while it runs, and delivered when its result is safe."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR2)
"""Ctrl-C, the end of a job, and the signal that submitit asks Slurm to send before a time limit."""

_noted: list[int] = []


def interrupted() -> bool:
    """Whether a signal came that has not been delivered."""
    return bool(_noted)


def deliver() -> None:
    """Give the first signal that came to whoever handles it otherwise; return when there was none."""
    if _noted:
        number = _noted[0]
        _noted.clear()
        signal.raise_signal(number)


@contextmanager
def signals_noted() -> Iterator[None]:
    """Note signals instead of being ended by them; a second Ctrl-C is not held back. For the main thread only."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    earlier = {number: signal.signal(number, _note) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)


def _note(number: int, _frame: FrameType | None) -> None:
    if _noted and number == signal.SIGINT:
        raise KeyboardInterrupt
    _noted.append(number)
