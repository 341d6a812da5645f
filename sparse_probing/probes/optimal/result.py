"""What every solver of optimal sparse probes takes besides the problem, and what it gives back."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from sparse_probing.probes.validation import Floats

Status = Literal["proved", "gap", "interrupted"]

SENTENCES: dict[Status, str] = {
    "proved": "No other support is better by more than the gap asked for.",
    "gap": "Time or nodes ran out before the gap was closed; allow more, or a stronger ridge.",
    "interrupted": "The search was interrupted before the gap was closed; run it again.",
}

MARGIN = 1e-9
"""By which a bound must exceed its target, relative to the objective: more than rounding can make."""


def relative_gap(objective: float, bound: float) -> float:
    """Return how far an objective is above a bound, relative to it; 0 where it is 0, which nothing can be below."""
    return max(0.0, (objective - bound) / objective) if objective > 0 else 0.0


def _never() -> bool:
    return False


@dataclass(frozen=True)
class Limits:
    """When a search ends, proved or not."""

    seconds: float = 60.0
    """Wall clock, for the whole search."""
    gap: float = 1e-4
    """Relative distance of objective and bound that counts as proved; at least 2e-6, as supports are fitted to 1e-6."""
    nodes: int = 10**9
    """Of the tree."""
    interrupted: Callable[[], bool] = _never
    """Asked between steps; the best support and its bound are returned when it says yes."""


@dataclass(frozen=True)
class Clock:
    """The time that a search has."""

    limits: Limits
    began: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        """Since the search began."""
        return time.monotonic() - self.began

    def is_over(self, share: float = 1.0) -> bool:
        """Whether a share of the time has passed, or the search was interrupted."""
        return self.seconds >= share * self.limits.seconds or self.limits.interrupted()


@dataclass(frozen=True)
class OptimalFit:
    """A support, its coefficients, and how far from the best of all supports it can be."""

    support: tuple[int, ...]
    """(k,) increasing."""
    coef: Floats
    """(k,) for scaled neurons."""
    intercept: float
    objective: float
    """Of the support: an upper bound of the optimum."""
    lower_bound: float
    """No support of k neurons has a smaller objective."""
    status: Status
    solver: str
    nodes: int
    """Nodes of the tree, or of the master problem."""
    kept: int
    """Neurons that the root could not rule out."""
    root_gap: float
    """Relative gap before branching."""
    seconds: float
    found_after: float
    """Seconds after which the support was found."""
    near: tuple[NearSupport, ...] = ()
    """Supports within the tolerance that was asked for, best first."""
    proof: bytes | None = None
    """Log for the independent verifier."""

    @property
    def gap(self) -> float:
        """Relative distance of objective and bound."""
        return relative_gap(self.objective, self.lower_bound)


@dataclass(frozen=True)
class NearSupport:
    """A support that is nearly as good as the best."""

    support: tuple[int, ...]
    objective: float
