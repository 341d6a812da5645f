"""The default solver: search for a good support, then close every other one by a bound."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sparse_probing.probes.optimal.branch_and_bound.local_search import Support, SupportFits, as_support, restarts
from sparse_probing.probes.optimal.branch_and_bound.relaxation import Relaxation
from sparse_probing.probes.optimal.branch_and_bound.root import checked_starts, first_support, search_near, solve_root
from sparse_probing.probes.optimal.branch_and_bound.tree import Best, Tree
from sparse_probing.probes.optimal.problem import SparseProblem
from sparse_probing.probes.optimal.proofs.log import Claim, ProofLog
from sparse_probing.probes.optimal.result import MARGIN, Clock, Limits, OptimalFit, Status, relative_gap
from sparse_probing.probes.optimal.support_fit import FINAL_TOLERANCE, fit_support

FIRST_NODES = 32
"""Nodes before the first random restarts; the tree then doubles between them."""
NODES_PER_RESTART = 64


def branch_and_bound(
    problem: SparseProblem,
    k: int,
    limits: Limits,
    starts: Sequence[Support] = (),
    seed: int = 0,
    proof: bool = False,
    tolerance: float | None = None,
) -> OptimalFit:
    """Return the best support of k neurons, and a lower bound for all of them.

    Parameters
    ----------
    problem : SparseProblem
    k : int
        Between 1 and the width.
    limits : Limits
    starts : supports, optional
        Known good ones of at most k neurons, such as the best of k - 1.
    seed : int
        Of the random restarts.
    proof : bool
        Whether to keep a log for the verifier.
    tolerance : float, optional
        Find all supports whose objective is larger by this share at most.
    """
    clock, fits = Clock(limits), SupportFits(problem)
    support = first_support(fits, k, checked_starts(problem, k, starts), clock)
    best = Best(fits.fit(support), limits.gap, tolerance, clock.seconds)
    tree = Tree(problem, k, best, clock, ProofLog() if proof else None)
    root = solve_root(problem, k, best, fits)
    search_near(root, k, best, fits, clock)
    kept = tree.plant(root)
    _grow(tree, fits, limits, np.random.default_rng(seed))
    return _result(problem, k, tree, kept, root)


def _grow(tree: Tree, fits: SupportFits, limits: Limits, rng: np.random.Generator) -> None:
    n_nodes = FIRST_NODES
    while not tree.grow(min(n_nodes, limits.nodes)) and tree.n_nodes < limits.nodes and not tree.clock.is_over():
        support = as_support(tree.best.fit.support)
        other = restarts(fits, support, n_nodes // NODES_PER_RESTART, tree.clock.is_over, rng)
        tree.best.offer(fits.fit(other), tree.clock.seconds)
        n_nodes *= 2


def _result(problem: SparseProblem, k: int, tree: Tree, kept: int, root: Relaxation) -> OptimalFit:
    best = tree.best
    again = fit_support(problem, best.fit.support, tolerance=FINAL_TOLERANCE)
    fit = min((again, best.fit), key=lambda f: f.objective)
    bound = min(tree.lower_bound, fit.objective)
    support = as_support(fit.support)
    claimed = bound - MARGIN * abs(fit.objective)
    claim = Claim(problem.loss, problem.ridge, k, support, fit.coef, fit.intercept, fit.objective, claimed)
    return OptimalFit(
        support=support,
        coef=fit.coef,
        intercept=fit.intercept,
        objective=fit.objective,
        lower_bound=bound,
        status=_status(tree, bound, fit.objective),
        solver="branch_and_bound",
        nodes=tree.n_nodes,
        kept=kept,
        root_gap=relative_gap(fit.objective, root.bound.value),
        seconds=tree.clock.seconds,
        found_after=best.seconds,
        near=best.near_supports(),
        proof=tree.log.dumps(claim) if tree.log is not None else None,
    )


def _status(tree: Tree, bound: float, objective: float) -> Status:
    done = not tree.open or tree.open[0][0] >= tree.best.target
    if done and relative_gap(objective, bound) <= tree.best.gap * (1 + 1e-6):
        return "proved"
    return "interrupted" if tree.clock.limits.interrupted() else "gap"
