"""Time contenders alternately, and print the medians of their ratios as a Markdown table."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal

Contender = Callable[[], object]
Clock = Literal["wall", "cpu"]


@dataclass(frozen=True)
class Seconds:
    """Time of one run."""

    wall: float
    cpu: float
    """Of all threads of this process."""


def seconds(contender: Contender) -> Seconds:
    """Run once and return the time."""
    wall, cpu = time.perf_counter(), time.process_time()
    contender()
    return Seconds(time.perf_counter() - wall, time.process_time() - cpu)


def alternate(contenders: Mapping[str, Contender], repeats: int) -> dict[str, list[Seconds]]:
    """Run every contender once without timing it, then all of them one after another, ``repeats`` times."""
    for contender in contenders.values():
        contender()
    runs = [{name: seconds(contender) for name, contender in contenders.items()} for _ in range(repeats)]
    return {name: [run[name] for run in runs] for name in contenders}


def median_seconds(times: Sequence[Seconds], clock: Clock = "wall") -> float:
    """Return the median of one clock."""
    return median(getattr(t, clock) for t in times)


def median_ratio(times: Sequence[Seconds], others: Sequence[Seconds], clock: Clock = "wall") -> float:
    """Return the median over the turns of the time of one contender divided by that of another."""
    return median(getattr(a, clock) / getattr(b, clock) for a, b in zip(times, others, strict=True))


def print_table(rows: Sequence[Mapping[str, object]]) -> None:
    """Print rows with the same keys as a Markdown table."""
    lines = [list(rows[0]), ["---"] * len(rows[0]), *([str(v) for v in row.values()] for row in rows)]
    for line in lines:
        print(f"| {' | '.join(line)} |")
