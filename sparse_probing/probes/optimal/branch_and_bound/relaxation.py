"""The convex relaxation of a node of the tree: some neurons are fixed in the support, free ones share the rest.

Proximal Newton's method on the k-support relaxation, over a working set of neurons that grows by those whose
correlation with the duals shows that they belong to it. The bound holds for every solution, exact or not; a
better solution gives a better bound.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sparse_probing.probes.inputs.validation import Floats, Integers
from sparse_probing.probes.optimal.branch_and_bound.bounds import Bound, correlation_bound
from sparse_probing.probes.optimal.branch_and_bound.k_support_norm import minimise_exactly, minimise_roughly, penalty
from sparse_probing.probes.optimal.losses import HINGE, SQUARED, all_points, balanced
from sparse_probing.probes.optimal.problem import SparseProblem, Support, as_support
from sparse_probing.probes.optimal.support_fit import LONGEST_STEP, Certificate

SMOOTHING = 0.1
"""First width of smoothing of the hinge in the relaxation of a node."""
MOST_NEW = 40
"""Largest number of neurons that join a working set at a time."""
NEARLY_IN = 0.85
"""A neuron joins if its squared correlation is at least this share of the k-th largest."""
NARROWEST = 1e-3
"""Width of smoothing below which a relaxation is not refined."""


@dataclass(frozen=True)
class Effort:
    """How exactly a relaxation is solved."""

    newton_steps: int = 6
    decrease: float = 1e-6
    """Newton's method ends when the relative decrease of the objective is below this."""
    rounds: int = 3
    """Largest number of times that the working set grows or the smoothing is narrowed."""
    gap: float = 1e-4
    """Relative gap at which the bound is good enough."""
    share_of_target: float = 0.4
    """A gap below this share of the distance from the relaxed objective to the target is good enough, too: it
    cannot be the reason why the node is branched on."""
    proximal_steps: int = 40
    exact_steps: int = 60


NODE = Effort()
ROOT = Effort(newton_steps=12, rounds=10, gap=2e-4, share_of_target=0.1)


@dataclass(frozen=True)
class Point:
    """A solution of a relaxation, or the starting point of one."""

    columns: Integers
    """The neurons that are fixed in the support, then the *working* neurons: free ones that may have coefficients."""
    n_fixed: int
    """Number of fixed neurons."""
    coef: Floats
    """Coefficients of the columns."""
    intercept: float


@dataclass(frozen=True)
class Relaxation:
    """Solution and bound of the relaxation of a node."""

    point: Point
    """Working neurons whose coefficient is zero are removed."""
    shares: Floats
    """(working,) how much of each working neuron is in the support, between 0 and 1."""
    objective: float
    """Of the relaxation; at least ``bound.value``, which bounds every support of the node."""
    bound: Bound
    certificate: Certificate
    """Of the bound."""

    def rounded(self, k: int) -> Support | None:
        """Return the fixed neurons with the k of the largest shares; None if fewer than k neurons have one."""
        fixed, working = np.split(self.point.columns, [self.point.n_fixed])
        if len(working) < k:
            return None
        return as_support([*fixed, *working[np.argsort(-self.shares, kind="stable")[:k]]])


def relax(
    problem: SparseProblem, start: Point, free: Integers, k: int, delta: float, target: float, effort: Effort = NODE
) -> Relaxation:
    """Solve the relaxation of "the fixed neurons and ``k`` of the free neurons".

    Parameters
    ----------
    problem : SparseProblem
    start : Point
        Its working neurons are among the free ones.
    free : integers
        Neurons that may join the support.
    k : int
        Number of free neurons that join it.
    delta : float
        First width of smoothing of a hinge.
    target : float
        The relaxation ends when its bound reaches this.
    effort : Effort
    """
    n_fixed, v, h = start.n_fixed, np.empty(problem.n_rows), np.empty(problem.n_rows)
    fixed = start.columns[:n_fixed]
    point, best, least, n_rounds = start, None, np.inf, 0
    while True:
        n_rounds += 1
        point, decisions = _newton(problem, point, k, delta, effort)

        # Lower bound: the duals at the solution. Upper bound of the relaxation: its objective, not smoothed.
        all_points(problem.code, decisions, problem.y, problem.weight, delta, v, h)
        bound = correlation_bound(problem, balanced(problem.code, v, problem.weight), fixed, free, k)
        if best is None or bound.value > best[0].value:
            best = bound, point, Certificate(point.columns, point.coef, point.intercept, delta)
        shares = np.zeros(len(point.columns) - n_fixed)
        norm = penalty(point.coef, n_fixed, k, shares) / (2 * problem.ridge)
        least = min(least, all_points(problem.code, decisions, problem.y, problem.weight, 0.0, v, h) + norm)
        gap = least - best[0].value
        good_enough = gap < max(effort.gap * least, effort.share_of_target * (target - least))
        if best[0].value >= target or good_enough or n_rounds == effort.rounds:
            break

        # Neurons outside that correlate strongly join; if none belongs to the solution, smooth less.
        squares = bound.squares
        threshold = np.partition(squares, -k)[-k] if 0 < k < len(squares) else 0.0
        inside = np.zeros(problem.width, bool)
        inside[point.columns[n_fixed:]] = True
        outside = np.flatnonzero(~inside[free] & (squares > NEARLY_IN * threshold))
        if not (squares[outside] > 1.0005 * threshold).any():
            delta = 0.3 * delta if problem.code == HINGE else 0.0
        if delta < NARROWEST:
            break
        if len(outside) > 0:
            new = free[outside[np.argsort(-squares[outside], kind="stable")[:MOST_NEW]]]
            point = _nonzero(point)
            columns, coef = np.concatenate([point.columns, new]), np.concatenate([point.coef, np.zeros(len(new))])
            point = Point(columns, n_fixed, coef, point.intercept)

    bound, point, certificate = best
    point = _nonzero(point)
    shares = np.zeros(len(point.columns) - n_fixed)
    penalty(point.coef, n_fixed, k, shares)
    return Relaxation(point, shares, least, bound, certificate)


def _nonzero(point: Point) -> Point:
    """Return the point without working neurons whose coefficient is zero."""
    remains = point.coef != 0
    remains[: point.n_fixed] = True
    return Point(point.columns[remains], point.n_fixed, point.coef[remains], point.intercept)


def _newton(problem: SparseProblem, point: Point, k: int, delta: float, effort: Effort) -> tuple[Point, Floats]:
    """Return a better point with the same working set, and its decision values (n,)."""
    Z = problem.columns[point.columns].astype(np.float64)
    y, w, loss, g, n_fixed = problem.y, problem.weight, problem.code, problem.ridge, point.n_fixed
    v, h, shares = np.empty(problem.n_rows), np.empty(problem.n_rows), np.empty(len(Z) - n_fixed)
    coef, intercept = point.coef, point.intercept
    decisions = coef @ Z + intercept
    value = all_points(loss, decisions, y, w, delta, v, h) + penalty(coef, n_fixed, k, shares) / (2 * g)
    for _ in range(effort.newton_steps):
        # The quadratic model of the smoothed loss, in which the intercept is eliminated.
        curved = np.flatnonzero(h > 0) if loss == HINGE else slice(None)
        Zh = Z[:, curved] * h[curved]
        H, mixed, bend = Zh @ Z[:, curved].T, Zh.sum(axis=1), h.sum() + 1e-8 * w.sum()
        gradient, slope = -(Z @ v), -v.sum()
        H -= np.outer(mixed, mixed) / bend
        c = gradient - mixed * (slope / bend) - H @ coef
        # Its minimum, with the k-support penalty, gives the step.
        u = minimise_roughly(H, c, coef, n_fixed, k, g, effort.proximal_steps, 1e-3)
        step = minimise_exactly(H, c, u, n_fixed, k, g, effort.exact_steps) - coef
        up = float(-(slope + mixed @ step) / bend)
        # Halve the step until the objective decreases.
        change = step @ Z + up
        length = min(1.0, LONGEST_STEP / max(np.abs(change).max(initial=0.0), 1e-300)) if loss != SQUARED else 1.0
        before = value
        for _halving in range(10):
            new, trial = coef + length * step, decisions + length * change
            value = all_points(loss, trial, y, w, delta, v, h) + penalty(new, n_fixed, k, shares) / (2 * g)
            if value <= before * (1 - 1e-12):
                break
            length /= 2
        else:
            break
        coef, intercept, decisions = new, intercept + length * up, trial
        if before - value < effort.decrease * before:
            break
    return Point(point.columns, n_fixed, coef, float(intercept)), decisions
