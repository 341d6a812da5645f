"""Let the libraries of linear algebra use one thread: several add numbers in another order."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from threadpoolctl import threadpool_limits

_limited: ContextVar[bool] = ContextVar("_limited", default=False)


@contextmanager
def one_thread() -> Iterator[None]:
    """Limit the threads within a block; inside another such block this costs nothing.

    To find the libraries of a process takes 30 ms, as long as a small fit.
    """
    if _limited.get():
        yield
        return
    token = _limited.set(True)
    try:
        with threadpool_limits(1):
            yield
    finally:
        _limited.reset(token)
