"""Limits and results that all solvers of optimal sparse probes share."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from sparse_probing.probes.inputs.validation import Floats
from sparse_probing.probes.optimal.problem import Support

Status = Literal["proved", "gap", "interrupted"]

SENTENCES: dict[Status, str] = {
    "proved": "No other support is better by more than the requested gap.",
    "gap": "Time or nodes ran out before the gap was closed; allow more, or use a stronger ridge.",
    "interrupted": "The search was interrupted before the gap was closed; run it again.",
}

MARGIN = 1e-9
"""A bound must exceed its target by this share of the objective: more than rounding errors can add up to."""


def relative_gap(objective: float, bound: float) -> float:
    """Return the relative distance of an objective from a lower bound; 0 if the objective is 0, the least possible."""
    return max(0.0, (objective - bound) / objective) if objective > 0 else 0.0


@dataclass(frozen=True)
class Limits:
    """When a search ends, proved or not."""

    seconds: float = 60.0
    """Wall-clock limit of the whole search."""
    gap: float = 1e-4
    """Relative gap that counts as proved; at least 2e-6, because supports are fitted to 1e-6."""
    nodes: int = 10**9
    """Largest number of nodes of the tree."""
    interrupted: Callable[[], bool] = field(default=lambda: False)
    """Called between steps; when it returns True, the search ends with the best support and its bound."""


@dataclass(frozen=True)
class Clock:
    """Time since a search started, compared with its limits."""

    limits: Limits
    start: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        """Seconds since the search started."""
        return time.monotonic() - self.start

    def is_over(self) -> bool:
        """Whether the time limit has passed, or the search was interrupted."""
        return self.seconds >= self.limits.seconds or self.limits.interrupted()


@dataclass(frozen=True)
class NearSupport:
    """A support that is nearly as good as the best."""

    support: Support
    objective: float


@dataclass(frozen=True)
class OptimalFit:
    """The best support of a search, its coefficients, and a lower bound for all supports."""

    support: Support
    """(k,) neurons in increasing order."""
    coef: Floats
    """(k,) coefficients of the scaled neurons."""
    intercept: float
    objective: float
    """Objective of the support: an upper bound of the optimum."""
    lower_bound: float
    """No support of k neurons has a smaller objective."""
    status: Status
    solver: str
    nodes: int
    """Nodes of the tree, or of Gurobi's master problem."""
    n_kept: int
    """Neurons that the root relaxation does not rule out."""
    root_gap: float
    """Relative gap before branching."""
    seconds: float
    """Wall-clock time of the search."""
    seconds_to_support: float
    """Wall-clock time until the support was found."""
    intercepts: tuple[float, float] | None = None
    """Ends of the interval of equally good intercepts; None where the loss has one best intercept."""
    replaceable: Support = ()
    """Neurons of the support that a neuron outside it can replace at the same objective."""
    near_supports: tuple[NearSupport, ...] = ()
    """Supports within the requested tolerance, best first."""
    proof: bytes | None = None
    """Proof log for the independent verifier."""

    @property
    def gap(self) -> float:
        """Relative gap between objective and lower bound."""
        return relative_gap(self.objective, self.lower_bound)
