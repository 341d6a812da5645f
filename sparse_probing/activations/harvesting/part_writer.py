"""Write parts in other threads while the caller computes the next one."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from types import TracebackType
from typing import Generic, Self, TypeVar

LARGEST_NUMBER_OF_BUFFERS = 2
"""One is filled while the other is written: this bounds memory, and the work that a kill loses, on any disk."""

Buffers = TypeVar("Buffers")


class PartWriter(Generic[Buffers]):
    """A pool of buffers: the caller fills one, another thread writes it, and it can be filled again.

    No part is dropped: the caller waits while all buffers are being written, and when it leaves the
    context it waits for the last parts. Buffers are used again because new memory from the system
    costs more time than filling it.

    Parameters
    ----------
    allocate : callable
        Makes one set of buffers; called at most twice.
    write : callable
        Writes the part of this number from its buffers.
    n_threads : int
        Threads that write. One is enough while it is faster than the model; two write both buffers at once.
    """

    def __init__(
        self, allocate: Callable[[], Buffers], write: Callable[[int, Buffers], None], n_threads: int = 1
    ) -> None:
        self._allocate, self._write = allocate, write
        self._threads = ThreadPoolExecutor(n_threads, "part-writer")
        self._writing: dict[Future[None], Buffers] = {}
        self._free: deque[Buffers] = deque()
        self._n_buffers = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, error: type[BaseException] | None, _value: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        self._threads.shutdown()
        if error is None:
            self.check()

    def buffers(self) -> Buffers:
        """Return buffers to fill, as soon as some are free; raise the error of a writing thread, if there is one."""
        self.check()
        if not self._free and self._n_buffers < LARGEST_NUMBER_OF_BUFFERS:
            self._n_buffers += 1
            return self._allocate()
        while not self._free:
            wait(self._writing, return_when=FIRST_COMPLETED)
            self.check()
        return self._free.popleft()

    def submit(self, part: int, buffers: Buffers) -> None:
        """Write a part in another thread; the caller must not use its buffers any more."""
        self._writing[self._threads.submit(self._write, part, buffers)] = buffers

    def check(self) -> None:
        """Raise the error of a part that could not be written, if there is one."""
        for future in [future for future in self._writing if future.done()]:
            self._free.append(self._writing.pop(future))
            future.result()
