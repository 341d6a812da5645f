"""The incumbent: the best support that a search has found so far."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from sparse_probing.probes.optimal.equal_neurons import with_lowest_neurons
from sparse_probing.probes.optimal.intercept import LARGEST_CHANGE, with_balanced_intercept
from sparse_probing.probes.optimal.problem import SparseProblem, Support, as_support
from sparse_probing.probes.optimal.result import MARGIN, NearSupport
from sparse_probing.probes.optimal.support_fit import FINAL_TOLERANCE, SupportFit, fit_support

BETTER = 1e-9
"""Relative decrease of the objective from which a support counts as better."""


@dataclass
class Incumbent:
    """The best support so far, and the bound that every other support must reach."""

    fit: SupportFit
    gap: float
    """Relative gap that counts as proved."""
    tolerance: float | None = None
    """If given, all supports whose objective is larger by at most this share are listed."""
    seconds: float = 0.0
    """Time at which the support was found."""
    near: dict[Support, float] = field(default_factory=dict)
    """Objectives of supports within the tolerance of the incumbent at the time."""

    @property
    def goal(self) -> float:
        """Lower bound that proves the incumbent; with a tolerance, no support worth listing is above it."""
        return self.fit.objective * (1 - self.gap if self.tolerance is None else 1 + self.tolerance)

    @property
    def target(self) -> float:
        """Bound at which a node is closed: the goal, with a margin for rounding errors."""
        return self.goal + MARGIN * self.fit.objective

    def offer(self, fit: SupportFit, seconds: float) -> None:
        """Replace the incumbent if a support is better, and list the support if it is within the tolerance."""
        if fit.objective < self.fit.objective * (1 - BETTER):
            self.fit, self.seconds = fit, seconds
        if self.tolerance is not None and fit.objective <= self.goal:
            self.near[as_support(fit.support)] = fit.objective

    def near_supports(self) -> tuple[NearSupport, ...]:
        """Return the supports within the tolerance, best first."""
        supports = [NearSupport(support, value) for support, value in self.near.items() if value <= self.goal]
        return tuple(sorted(supports, key=lambda near: (near.objective, near.support)))

    def refit(self, problem: SparseProblem) -> SupportFit:
        """Return the incumbent fitted more closely: the same fit, whichever search found the support.

        Of equal neurons the lowest are taken (:mod:`~sparse_probing.probes.optimal.equal_neurons`), and of equally
        good intercepts the one that the training rows choose (:mod:`~sparse_probing.probes.optimal.intercept`).
        Where that fit is worse by more than rounding, the fit that the search had is returned, with its own support.
        """
        support = np.array(with_lowest_neurons(problem, self.fit.support), np.int64)
        closer = with_balanced_intercept(problem, fit_support(problem, support, tolerance=FINAL_TOLERANCE))
        if closer.objective <= self.fit.objective * (1 + LARGEST_CHANGE):
            return closer
        return with_balanced_intercept(problem, self.fit)
