"""Peak resident memory of a function in a process of its own (Linux)."""

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
    """With the modules imported, before the function."""
    peak: int
    """Largest since then."""

    @property
    def increase(self) -> int:
        """What the function added."""
        return self.peak - self.before


def resident_memory(function: Callable[..., object], *arguments: object) -> Resident:
    """Call a function in a new process, which imports its module first, and return the memory of that process."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        return process.submit(_measure, function, *arguments).result()


def _measure(function: Callable[..., object], *arguments: object) -> Resident:
    before = _status_bytes("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # sets the high-water mark back to the present
    function(*arguments)
    return Resident(before, _status_bytes("VmHWM"))


def _status_bytes(field: str) -> int:
    """Return a size from /proc/self/status, where it stands in kB.

    `resource.getrusage` would do, but its maximum is inherited from the parent process.
    """
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{field}:")) * 1024
