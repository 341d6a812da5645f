"""Best-first branch and bound over supports."""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np

from sparse_probing.probes.optimal.branch_and_bound.bounds import screen
from sparse_probing.probes.optimal.branch_and_bound.local_search import BETTER, Support, as_support
from sparse_probing.probes.optimal.branch_and_bound.relaxation import Point, Relaxation, relax
from sparse_probing.probes.optimal.problem import SparseProblem
from sparse_probing.probes.optimal.proofs.log import ROOT, WITH, WITHOUT, ProofLog
from sparse_probing.probes.optimal.result import MARGIN, Clock, NearSupport
from sparse_probing.probes.optimal.support_fit import SupportFit, fit_support
from sparse_probing.probes.validation import Floats, Integers

MOST_SINGLES, MOST_PAIRS = 40, 25
"""Free neurons up to which the last one, or the last two, of a support are tried one by one."""
SMOOTHING = 0.1
"""Of the hinge, in the relaxation of a node."""
REORDERING = 1e-7
"""Relative amount by which the bound of a closely fitted support may differ when sums are made in another order:
its hinge is hardly smoothed, so that rounding shows in the duals."""
ROUND_EVERY = 20
"""Nodes between two attempts to make a support of a relaxation."""


@dataclass(frozen=True, eq=False)
class Node:
    """Supports that hold ``fixed`` and otherwise some of ``free``."""

    number: int
    fixed: Integers
    free: Integers
    bound: float
    point: Point
    """Of its relaxation."""
    shares: Floats
    """(working,)"""
    strongest: int
    """The free neuron that correlates most with the duals."""


@dataclass
class Best:
    """The best support so far, and what is asked of a better one."""

    fit: SupportFit
    gap: float
    """Relative gap that counts as proved."""
    tolerance: float | None = None
    """Keep all supports that are worse by this at most."""
    seconds: float = 0.0
    """When it was found."""
    near: dict[Support, float] = field(default_factory=dict)

    @property
    def goal(self) -> float:
        """Lower bound that proves the support; with a tolerance, one that leaves out no support to be kept."""
        return self.fit.objective * (1 - self.gap if self.tolerance is None else 1 + self.tolerance)

    @property
    def target(self) -> float:
        """What a bound must reach so that a node can be left, rounding included."""
        return self.goal + MARGIN * self.fit.objective

    def offer(self, fit: SupportFit, seconds: float) -> None:
        """Take a support if it is better, and note it if it is near."""
        if fit.objective < self.fit.objective * (1 - BETTER):
            self.fit, self.seconds = fit, seconds
        if self.tolerance is not None and fit.objective <= self.goal:
            self.near[as_support(fit.support)] = fit.objective

    def near_supports(self) -> tuple[NearSupport, ...]:
        """Return the supports that are near, best first."""
        kept = [NearSupport(support, value) for support, value in self.near.items() if value <= self.goal]
        return tuple(sorted(kept, key=lambda near: (near.objective, near.support)))


class Tree:
    """A search that closes every support by a bound, or holds it open.

    Parameters
    ----------
    problem : SparseProblem
    k : int
        Neurons of a support.
    best : Best
        Mended whenever a better support is met.
    clock : Clock
    log : ProofLog, optional
        Takes down what is needed to prove the bound again.
    """

    def __init__(self, problem: SparseProblem, k: int, best: Best, clock: Clock, log: ProofLog | None = None) -> None:
        self.problem, self.k, self.best, self.clock, self.log = problem, k, best, clock, log
        self.open: list[tuple[float, int, Node]] = []
        self.n_nodes = 0
        self.tried = np.inf
        """Smallest bound of the supports that were fitted one by one and lie below the target."""

    def plant(self, root: Relaxation) -> int:
        """Begin with the relaxation of the root; return how many neurons it cannot rule out."""
        free = np.arange(self.problem.width)
        fixed, left = self._process(self._add(ROOT, ROOT, -1, root), np.empty(0, np.int64), free, root, -np.inf)
        return len(fixed) + len(left)

    def grow(self, n_nodes: int) -> bool:
        """Branch until nothing below the target is open, or nodes or time end; return whether the tree is done."""
        while self.open and self.open[0][0] < self.best.target:
            if self.n_nodes >= n_nodes or self.clock.is_over():
                return False
            self._branch(heapq.heappop(self.open)[2])
        return True

    @property
    def lower_bound(self) -> float:
        """No support has a smaller objective."""
        still_open = self.open[0][0] if self.open else np.inf
        return min(still_open, self.tried, self.best.goal, self.best.fit.objective)

    def _branch(self, node: Node) -> None:
        neuron = _branching_neuron(node)
        if self.log is not None:
            self.log.branched[node.number] = neuron
        free = node.free[node.free != neuron]
        for side, fixed in ((WITH, np.append(node.fixed, neuron)), (WITHOUT, node.fixed)):
            k = self.k - len(fixed)
            start = _inherited(node.point, fixed, free)
            if k == 0 or k >= len(free):
                self._try_each(self._add(node.number, side, neuron), fixed, free, start)
                continue
            found = relax(self.problem, start, free, k, SMOOTHING, self.best.target)
            number = self._add(node.number, side, neuron, found)
            if number % ROUND_EVERY == 0:
                self._round(found, fixed)
            self._process(number, fixed, free, found, node.bound)

    def _add(self, parent: int, side: int, neuron: int, found: Relaxation | None = None) -> int:
        """Count a node, and log it."""
        self.n_nodes += 1
        if self.log is not None:
            number = self.log.add_node(parent, side, neuron)
            if found is not None:
                self.log.certificates[number] = found.certificate
        return self.n_nodes - 1

    def _process(
        self, number: int, fixed: Integers, free: Integers, found: Relaxation, bound: float
    ) -> tuple[Integers, Integers]:
        """Close a node, try its supports one by one, or open it; return what screening leaves of it."""
        bound, k = max(bound, found.bound.value), self.k - len(fixed)
        if bound >= self.best.target:
            return fixed, free[:0]
        out, must = screen(found.bound, self.problem.ridge, k, self.best.target)
        left = ~out & ~must
        fixed, free, squares = np.concatenate([fixed, free[must]]), free[left], found.bound.squares[left]
        k = self.k - len(fixed)
        order = np.argsort(-squares, kind="stable")
        if k >= len(free) or k == 0 or (k == 1 and len(free) <= MOST_SINGLES) or (k == 2 and len(free) <= MOST_PAIRS):
            self._try_each(number, fixed, free[order], found.point)
        else:
            node = Node(number, fixed, free, bound, found.point, found.shares, int(free[order[0]]))
            heapq.heappush(self.open, (bound, number, node))
        return fixed, free

    def _try_each(self, number: int, fixed: Integers, free: Integers, point: Point) -> None:
        """Fit all supports of a node."""
        coef = dict(zip(point.columns.tolist(), point.coef.tolist(), strict=True))
        if self.log is not None:
            self.log.enumerated.add(number)
        for further in combinations(free.tolist(), self.k - len(fixed)):
            support = np.sort(np.concatenate([fixed, np.array(further, np.int64)]))
            start = np.array([coef.get(j, 0.0) for j in support.tolist()])
            self._try(support, (start, point.intercept))

    def _try(self, support: Integers, start: tuple[Floats, float] | None = None) -> None:
        fit = fit_support(self.problem, support, self.best.target, start=start)
        self.best.offer(fit, self.clock.seconds)
        if self.log is not None:
            self.log.supports.append(fit.certificate)
        if fit.bound < self.best.target:
            self.tried = min(self.tried, fit.bound - REORDERING * fit.objective)

    def _round(self, found: Relaxation, fixed: Integers) -> None:
        """Offer the fixed neurons with those of the largest shares."""
        k = self.k - len(fixed)
        if len(found.point.working) >= k:
            largest = found.point.working[np.argsort(-found.shares, kind="stable")[:k]]
            fit = fit_support(self.problem, np.sort(np.concatenate([fixed, largest])), self.best.target)
            self.best.offer(fit, self.clock.seconds)


def _branching_neuron(node: Node) -> int:
    """Return the free neuron whose share is nearest to one half; where none has one, the strongest."""
    free = np.isin(node.point.working, node.free)
    if not free.any():
        return node.strongest
    working, shares = node.point.working[free], node.shares[free]
    return int(working[np.argmax(np.minimum(shares, 1 - shares) + 1e-3 * shares)])


def _inherited(point: Point, fixed: Integers, free: Integers) -> Point:
    """Return a parent's point as a start for a node: what it may not use is left out."""
    coef = dict(zip(point.columns.tolist(), point.coef.tolist(), strict=True))
    allowed = set(free.tolist())
    working = np.array([j for j in coef if j in allowed], np.int64)
    both: Iterable[int] = [*fixed.tolist(), *working.tolist()]
    return Point(fixed, working, np.array([coef.get(j, 0.0) for j in both]), point.intercept)
