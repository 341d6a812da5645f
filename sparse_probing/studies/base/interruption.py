"""Signals that end a long computation: noted while it runs, and delivered when its result is safe."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR2)
"""Ctrl-C, the end of a job, and the signal that submitit makes Slurm send before a time limit."""

_noted: list[int] = []


def interrupted() -> bool:
    """Whether a signal arrived that has not been delivered."""
    return bool(_noted)


def deliver() -> None:
    """Raise the first signal that arrived, so that its ordinary handler runs; do nothing when none arrived."""
    if _noted:
        number = _noted[0]
        _noted.clear()
        signal.raise_signal(number)


@contextmanager
def signals_noted() -> Iterator[None]:
    """Note signals instead of being ended by them, except a second Ctrl-C. Without effect outside the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def note(number: int, _frame: FrameType | None) -> None:
        if _noted and number == signal.SIGINT:
            raise KeyboardInterrupt
        _noted.append(number)

    ordinary_handlers = {number: signal.signal(number, note) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in ordinary_handlers.items():
            signal.signal(number, handler)
