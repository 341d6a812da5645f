"""Good supports, found without proof: greedy growth, exchanges, and random restarts near the best."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from sparse_probing.probes.optimal.branch_and_bound.bounds import rough_correlations
from sparse_probing.probes.optimal.branch_and_bound.incumbent import BETTER
from sparse_probing.probes.optimal.problem import SparseProblem, Support, as_support
from sparse_probing.probes.optimal.support_fit import SupportFit, fit_support

LARGEST_CACHE = 20_000
"""Number of fits at which the cache is emptied."""
GREEDY_CANDIDATES, SWAP_CANDIDATES, RESTART_CANDIDATES, RESTART_SWAPS = 6, 12, 10, 8
"""Neurons that are tried for one place of a support."""


@dataclass
class SupportFits:
    """A cache of the fits of supports."""

    problem: SparseProblem
    _fits: dict[Support, SupportFit] = field(default_factory=dict)

    def fit(self, support: Support, target: float = np.inf, near: Support | None = None) -> SupportFit:
        """Return the fit of a support.

        Parameters
        ----------
        support : support
        target : float
            The fit may end early if its bound reaches this value; such a fit is not cached.
        near : support, optional
            The fit starts at the coefficients of this support.
        """
        if support in self._fits:
            return self._fits[support]
        start = None
        if near is not None:
            neighbour = self.fit(near)
            coef = dict(zip(near, neighbour.coef.tolist(), strict=True))
            start = np.array([coef.get(j, 0.0) for j in support]), neighbour.intercept
        fit = fit_support(self.problem, np.array(support, np.int64), target, start=start)
        if fit.bound < target:
            if len(self._fits) >= LARGEST_CACHE:
                self._fits.clear()
            self._fits[support] = fit
        return fit

    def candidates(self, support: Support, n: int) -> list[int]:
        """Return the n neurons outside a support that correlate most with the duals of its fit, strongest first."""
        duals = self.fit(support).certificate.duals(self.problem)
        correlations = np.abs(rough_correlations(self.problem, duals, np.arange(self.problem.width)))
        correlations[list(support)] = -1.0
        n = min(n, self.problem.width - len(support))
        strongest = np.argpartition(-correlations, max(n - 1, 0))[:n]
        return [int(j) for j in strongest[np.argsort(-correlations[strongest], kind="stable")]]


def greedy(fits: SupportFits, k: int, start: Support = ()) -> Support:
    """Grow a support to k neurons one at a time; each is the best of the few that correlate most."""
    support = start
    while len(support) < k:
        grown = [as_support([*support, j]) for j in fits.candidates(support, GREEDY_CANDIDATES)]
        support = min(grown, key=lambda s: fits.fit(s).objective)
    return support


def exchange(fits: SupportFits, support: Support, stop: Callable[[], bool], n: int = SWAP_CANDIDATES) -> Support:
    """Exchange single neurons, each for one of n candidates, until the objective no longer decreases."""
    while not stop():
        current = fits.fit(support)
        target, better = current.objective * (1 - 1e-7), None
        # The neuron with the smallest coefficient is tried first; the first exchange that is better is made.
        for weakest in np.argsort(np.abs(current.coef), kind="stable"):
            rest = support[:weakest] + support[weakest + 1 :]
            others = [as_support([*rest, j]) for j in fits.candidates(rest, n)]
            better = next((s for s in others if s != support and fits.fit(s, target, rest).objective < target), None)
            if better is not None:
                break
        if better is None:
            return support
        support = better
    return support


def restarts(
    fits: SupportFits, support: Support, n: int, stop: Callable[[], bool], rng: np.random.Generator
) -> Support:
    """Return the best support of n random restarts (iterated local search), each from the best so far."""
    k = len(support)
    for _ in range(n):
        if stop():
            break
        # Remove two or three neurons at random, refill at random from the best candidates, and exchange.
        n_out = min(k, 2 if rng.random() < 0.6 else 3)
        other = as_support(support[i] for i in rng.permutation(k)[n_out:])
        while len(other) < k:
            other = as_support([*other, rng.choice(fits.candidates(other, RESTART_CANDIDATES))])
        other = exchange(fits, other, stop, RESTART_SWAPS)
        if fits.fit(other).objective < fits.fit(support).objective * (1 - BETTER):
            support = other
    return support
