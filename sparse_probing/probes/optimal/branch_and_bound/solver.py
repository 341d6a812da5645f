"""Branch and bound: find a good support, and close every other support by a lower bound.

:func:`branch_and_bound` lists the steps in order, and :class:`Tree` holds the search. The pieces have a file each:
good supports (``local_search``), the relaxation of a node (``relaxation``, ``k_support_norm``), its bound and what
the bound rules out (``bounds``), and the best support so far (``incumbent``).
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np

from sparse_probing.probes.inputs.validation import Floats, Integers
from sparse_probing.probes.optimal.branch_and_bound.bounds import screen
from sparse_probing.probes.optimal.branch_and_bound.incumbent import Incumbent
from sparse_probing.probes.optimal.branch_and_bound.local_search import SupportFits, restarts
from sparse_probing.probes.optimal.branch_and_bound.relaxation import SMOOTHING, Point, Relaxation, relax
from sparse_probing.probes.optimal.branch_and_bound.root import first_support, solve_root
from sparse_probing.probes.optimal.equal_neurons import replaceable
from sparse_probing.probes.optimal.problem import SparseProblem, Support, as_support
from sparse_probing.probes.optimal.proofs.log import ROOT, WITH, WITHOUT, Claim, ProofLog
from sparse_probing.probes.optimal.result import MARGIN, Clock, Limits, OptimalFit, Status, relative_gap
from sparse_probing.probes.optimal.support_fit import fit_support

FIRST_NODES = 32
"""Number of nodes before the first random restarts; afterwards the tree doubles between them."""
NODES_PER_RESTART = 64
MOST_SINGLES, MOST_PAIRS = 40, 25
"""Number of free neurons up to which the last neuron, or the last two, of a support are tried one by one."""
ROUND_EVERY = 20
"""Number of nodes between two relaxations that are rounded to a support."""
REORDERING = 1e-7
"""Relative amount by which the bound of a fitted support may change when sums are computed in another order: its
hinge is smoothed so little that rounding errors show in the duals."""


def branch_and_bound(
    problem: SparseProblem,
    k: int,
    limits: Limits,
    starts: Sequence[Support] = (),
    seed: int = 0,
    proof: bool = False,
    tolerance: float | None = None,
) -> OptimalFit:
    """Return the best support of k neurons, and a lower bound for all supports of k neurons.

    Parameters
    ----------
    problem : SparseProblem
    k : int
        Between 1 and the width of the problem.
    limits : Limits
    starts : supports, optional
        Known good supports of at most k neurons, such as the best support of k - 1.
    seed : int
        Seed of the random restarts.
    proof : bool
        Whether to return a proof log for the verifier.
    tolerance : float, optional
        List all supports whose objective is larger by at most this share.

    Raises
    ------
    ProbeError
        If k or a start is out of range.
    """
    clock, fits, rng = Clock(limits), SupportFits(problem), np.random.default_rng(seed)

    # 1. Incumbent: a good support, from greedy growth and exchanges.
    support = first_support(fits, k, starts, clock)
    incumbent = Incumbent(fits.fit(support), limits.gap, tolerance, clock.seconds)

    # 2. Root: the relaxation of all supports bounds them, closes the tree, or rules neurons out.
    root = solve_root(fits, k, incumbent, clock)
    tree = Tree(problem, k, incumbent, clock, ProofLog([(ROOT, ROOT, -1)]) if proof else None)
    neurons = np.arange(problem.width)
    n_kept = tree.close_or_open(0, neurons[:0], neurons, root, -np.inf)

    # 3. Tree: branch until nothing is open below the target. Restart the local search whenever the tree has doubled.
    n_nodes = FIRST_NODES
    while not tree.grow(min(n_nodes, limits.nodes)) and tree.n_nodes < limits.nodes and not clock.is_over():
        support = as_support(incumbent.fit.support)
        support = restarts(fits, support, n_nodes // NODES_PER_RESTART, clock.is_over, rng)
        incumbent.offer(fits.fit(support), clock.seconds)
        n_nodes *= 2

    # 4. Result: the incumbent, fitted more closely, the bound of everything that was closed or is open, and the proof.
    fit = incumbent.refit(problem)
    support, bound = as_support(fit.support), min(tree.lower_bound, fit.objective)
    is_done = not tree.open or tree.open[0][0] >= incumbent.target
    status: Status = "proved"
    if not is_done or relative_gap(fit.objective, bound) > limits.gap * (1 + 1e-5):
        status = "interrupted" if limits.interrupted() else "gap"
    claimed = bound - MARGIN * abs(fit.objective)
    claim = Claim(problem.loss, problem.ridge, k, support, fit.coef, fit.intercept, fit.objective, claimed)
    return OptimalFit(
        support=support,
        coef=fit.coef,
        intercept=fit.intercept,
        objective=fit.objective,
        lower_bound=bound,
        status=status,
        solver="branch_and_bound",
        nodes=tree.n_nodes,
        n_kept=n_kept,
        root_gap=relative_gap(fit.objective, root.bound.value),
        seconds=clock.seconds,
        seconds_to_support=incumbent.seconds,
        intercepts=fit.intercepts,
        replaceable=replaceable(problem, fit),
        near_supports=incumbent.near_supports(),
        proof=tree.log.dumps(claim) if tree.log is not None else None,
    )


@dataclass(frozen=True, eq=False)
class Node:
    """The supports that hold all ``fixed`` neurons, and otherwise only ``free`` neurons."""

    number: int
    fixed: Integers
    free: Integers
    bound: float
    point: Point
    """Solution of its relaxation."""
    shares: Floats
    """(working,) shares of the working neurons of the point."""
    strongest: int
    """The free neuron that correlates most with the duals."""


@dataclass
class Tree:
    """A search in which every support is closed by a bound, or belongs to an open node."""

    problem: SparseProblem
    k: int
    """Number of neurons of a support."""
    incumbent: Incumbent
    clock: Clock
    log: ProofLog | None = None
    """Records what is needed to prove the bound again."""
    open: list[tuple[float, int, Node]] = field(default_factory=list)
    """Heap of the open nodes, by bound and number."""
    n_nodes: int = 1
    """Number of nodes so far; the root is the first."""
    least_fitted: float = np.inf
    """Smallest bound of the supports that were fitted one by one and could not be closed."""

    @property
    def lower_bound(self) -> float:
        """No support has a smaller objective."""
        least_open = self.open[0][0] if self.open else np.inf
        return min(least_open, self.least_fitted, self.incumbent.goal, self.incumbent.fit.objective)

    def close_or_open(
        self, number: int, fixed: Integers, free: Integers, relaxation: Relaxation, parent_bound: float
    ) -> int:
        """Close a node by its bound or by fitting its few supports, or open it.

        Returns the number of neurons that its supports can still hold; 0 if its bound closes it.
        """
        if self.log is not None:
            self.log.certificates[number] = relaxation.certificate
        bound, target = max(parent_bound, relaxation.bound.value), self.incumbent.target
        if bound >= target:
            return 0
        # Screening: the bound with one neuron forced in, or out, shows which neurons a better support holds.
        out, must = screen(relaxation.bound, self.problem.ridge, self.k - len(fixed), target)
        undecided = ~out & ~must
        fixed, free = np.concatenate([fixed, free[must]]), free[undecided]
        by_strength = free[np.argsort(-relaxation.bound.squares[undecided], kind="stable")]
        k, n = self.k - len(fixed), len(free)
        if k == 0 or k >= n or (k == 1 and n <= MOST_SINGLES) or (k == 2 and n <= MOST_PAIRS):
            self.fit_each(number, fixed, by_strength, relaxation.point)
        else:
            node = Node(number, fixed, free, bound, relaxation.point, relaxation.shares, int(by_strength[0]))
            heapq.heappush(self.open, (bound, number, node))
        return len(fixed) + n

    def grow(self, n_nodes: int) -> bool:
        """Branch, smallest bound first, until the tree has ``n_nodes`` or time is over; return whether it is done."""
        while self.open and self.open[0][0] < self.incumbent.target:
            if self.n_nodes >= n_nodes or self.clock.is_over():
                return False
            node = heapq.heappop(self.open)[2]

            # Branch on the free neuron whose share is nearest to one half; if none has a share, on the strongest.
            point, neuron = node.point, node.strongest
            working = point.columns[point.n_fixed :]
            is_free = np.isin(working, node.free)
            if is_free.any():
                shares = node.shares[is_free]
                neuron = int(working[is_free][np.argmax(np.minimum(shares, 1 - shares) + 1e-3 * shares)])
            if self.log is not None:
                self.log.branched[node.number] = neuron

            free = node.free[node.free != neuron]
            coef = dict(zip(point.columns.tolist(), point.coef.tolist(), strict=True))
            allowed = set(free.tolist())
            working = np.array([j for j in coef if j in allowed], np.int64)
            for side, fixed in ((WITH, np.append(node.fixed, neuron)), (WITHOUT, node.fixed)):
                number, k = self.n_nodes, self.k - len(fixed)
                self.n_nodes += 1
                if self.log is not None:
                    self.log.nodes.append((node.number, side, neuron))
                # A node starts at its parent's point, without the neurons that it may not hold.
                columns = np.concatenate([fixed, working])
                start_coef = np.array([coef.get(j, 0.0) for j in columns.tolist()])
                start = Point(columns, len(fixed), start_coef, point.intercept)
                if k == 0 or k >= len(free):
                    self.fit_each(number, fixed, free, start)
                    continue
                relaxation = relax(self.problem, start, free, k, SMOOTHING, self.incumbent.target)
                rounded = relaxation.rounded(k) if number % ROUND_EVERY == 0 else None
                if rounded is not None:
                    fit = fit_support(self.problem, np.array(rounded, np.int64), self.incumbent.target)
                    self.incumbent.offer(fit, self.clock.seconds)
                self.close_or_open(number, fixed, free, relaxation, node.bound)
        return True

    def fit_each(self, number: int, fixed: Integers, free: Integers, point: Point) -> None:
        """Fit all supports of a node; each is closed by the bound of its fit."""
        if self.log is not None:
            self.log.enumerated.add(number)
        coef = dict(zip(point.columns.tolist(), point.coef.tolist(), strict=True))
        for further in combinations(free.tolist(), self.k - len(fixed)):
            support = np.sort(np.concatenate([fixed, np.array(further, np.int64)]))
            start = np.array([coef.get(j, 0.0) for j in support.tolist()])
            fit = fit_support(self.problem, support, self.incumbent.target, start=(start, point.intercept))
            self.incumbent.offer(fit, self.clock.seconds)
            if self.log is not None:
                self.log.supports.append(fit.certificate)
            if fit.bound < self.incumbent.target:
                self.least_fitted = min(self.least_fitted, fit.bound - REORDERING * fit.objective)
