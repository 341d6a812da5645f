"""Peak resident memory of a function in a new process (Linux)."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Resident:
    """Resident memory of a process, in bytes."""

    before: int
    """After the imports, before the function."""
    peak: int
    """The largest value since then."""

    @property
    def increase(self) -> int:
        """Memory that the function added."""
        return self.peak - self.before


def resident_memory(function: Callable[..., object], *arguments: object) -> Resident:
    """Call a function in a new process, which imports its module first, and return the memory of that process."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        return process.submit(_measure, function, *arguments).result()


def _measure(function: Callable[..., object], *arguments: object) -> Resident:
    before = resident_now()
    function(*arguments)
    return Resident(before, resident_peak())


def resident_now() -> int:
    """Return the resident memory of this process in bytes, and reset its peak to it."""
    resident = _status_bytes("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")
    return resident


def resident_peak() -> int:
    """Return the peak of the resident memory of this process in bytes, since :func:`resident_now`.

    `resource.getrusage` cannot be used, because its maximum is inherited from the parent process.
    """
    return _status_bytes("VmHWM")


def _status_bytes(field: str) -> int:
    """Return a size from /proc/self/status, which contains kB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{field}:")) * 1024
