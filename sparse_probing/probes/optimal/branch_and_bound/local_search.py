"""Good supports, found without proof: greedy growth, exchanges, and random restarts near the best."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from sparse_probing.probes.optimal.branch_and_bound.bounds import rough_correlations
from sparse_probing.probes.optimal.problem import SparseProblem
from sparse_probing.probes.optimal.support_fit import SupportFit, fit_support
from sparse_probing.probes.validation import Floats

Support = tuple[int, ...]
"""Neurons, increasing."""

LARGEST_CACHE = 20_000
GREEDY_CANDIDATES, SWAP_CANDIDATES, RESTART_CANDIDATES, RESTART_SWAPS = 6, 12, 10, 8
"""Neurons that are tried in the place of one."""
BETTER = 1e-9
"""Relative decrease that counts."""


def as_support(neurons: Iterable[int]) -> Support:
    """Return neurons as a support."""
    return tuple(sorted(int(j) for j in neurons))


class SupportFits:
    """Fits of supports, each made once."""

    def __init__(self, problem: SparseProblem) -> None:
        self.problem = problem
        self._fits: dict[Support, SupportFit] = {}
        self._neurons = np.arange(problem.width)

    def fit(self, support: Support) -> SupportFit:
        """Return the fit of a support."""
        found = self.at_most(support, np.inf)
        assert found is not None  # noqa: S101 - nothing reaches an infinite bound
        return found

    def at_most(self, support: Support, target: float, near: Support | None = None) -> SupportFit | None:
        """Return the fit of a support; None when its bound says that it does not get below the target.

        The fit begins with the coefficients of the support ``near`` it.
        """
        if support not in self._fits:
            start = None if near is None else self._start(support, near)
            fit = fit_support(self.problem, np.array(support, np.int64), target, start=start)
            if fit.bound >= target:
                return None
            if len(self._fits) >= LARGEST_CACHE:
                self._fits.clear()
            self._fits[support] = fit
        return self._fits[support]

    def _start(self, support: Support, near: Support) -> tuple[Floats, float]:
        fit = self.fit(near)
        coef = dict(zip(near, fit.coef.tolist(), strict=True))
        return np.array([coef.get(j, 0.0) for j in support]), fit.intercept

    def candidates(self, support: Support, n: int) -> list[int]:
        """Return neurons outside a support that correlate most with what it leaves unexplained, best first."""
        correlations = np.abs(
            rough_correlations(self.problem, self.fit(support).certificate.duals(self.problem), self._neurons)
        )
        correlations[list(support)] = -1.0
        n = min(n, self.problem.width - len(support))
        best = np.argpartition(-correlations, max(n - 1, 0))[:n]
        return [int(j) for j in best[np.argsort(-correlations[best], kind="stable")]]


def greedy(fits: SupportFits, k: int, start: Support = ()) -> Support:
    """Grow a support one neuron at a time, each the best of a few that correlate most."""
    support = start
    while len(support) < k:
        grown = [as_support([*support, j]) for j in fits.candidates(support, GREEDY_CANDIDATES)]
        support = min(grown, key=lambda s: fits.fit(s).objective)
    return support


def exchange(fits: SupportFits, support: Support, stop: Callable[[], bool], n: int = SWAP_CANDIDATES) -> Support:
    """Exchange single neurons for as long as the objective falls."""
    while not stop():
        better = _better_exchange(fits, support, n)
        if better is None:
            return support
        support = better
    return support


def _better_exchange(fits: SupportFits, support: Support, n: int) -> Support | None:
    """Return a support that differs in one neuron and is better; the weakest neurons are tried first."""
    own = fits.fit(support)
    target = own.objective * (1 - 1e-7)
    for weakest in np.argsort(np.abs(own.coef), kind="stable"):
        rest = support[:weakest] + support[weakest + 1 :]
        for j in fits.candidates(rest, n):
            other = as_support([*rest, j])
            fit = fits.at_most(other, target, rest) if other != support else None
            if fit is not None and fit.objective < target:
                return other
    return None


def restarts(
    fits: SupportFits, support: Support, n: int, stop: Callable[[], bool], rng: np.random.Generator
) -> Support:
    """Take out two or three neurons, refill at random among good ones and exchange, n times (iterated local search)."""
    k = len(support)
    for _ in range(n):
        if stop():
            break
        other = exchange(fits, _refilled(fits, _thinned(support, rng), k, rng), stop, RESTART_SWAPS)
        if fits.fit(other).objective < fits.fit(support).objective * (1 - BETTER):
            support = other
    return support


def _thinned(support: Support, rng: np.random.Generator) -> Support:
    n_out = min(len(support), 2 if rng.random() < 0.6 else 3)
    kept = rng.permutation(len(support))[n_out:]
    return as_support(support[i] for i in kept)


def _refilled(fits: SupportFits, support: Support, k: int, rng: np.random.Generator) -> Support:
    while len(support) < k:
        support = as_support([*support, rng.choice(fits.candidates(support, RESTART_CANDIDATES))])
    return support
