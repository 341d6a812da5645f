"""A guard for calls that never end when they are wrong; it says nothing about speed."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager


class NoEndError(BaseException):
    """A call did not end; not an OSError, which a command may report as a damaged file."""


SECONDS = 120
"""Far above what any guarded call takes, on a busy machine too."""


@contextmanager
def must_end() -> Iterator[None]:
    """Raise NoEndError in the main thread when the block does not end."""

    def give_up(*_: object) -> None:
        raise NoEndError(f"no end after {SECONDS} s")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
