"""The convex relaxation of a node of the tree: some neurons fixed in the support, the others shared.

Proximal Newton on the k-support relaxation over a working set of neurons, which grows by those whose
correlation with the duals says that they belong to it. Whatever is found, the bound that it gives holds;
a better solution gives a better bound.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from sparse_probing.probes.optimal.branch_and_bound.bounds import Bound, correlation_bound
from sparse_probing.probes.optimal.branch_and_bound.k_support_norm import k_support, minimise_exactly, minimise_roughly
from sparse_probing.probes.optimal.losses import HINGE, SQUARED, all_points, balanced, total_loss
from sparse_probing.probes.optimal.problem import SparseProblem
from sparse_probing.probes.optimal.support_fit import LONGEST_STEP, Certificate
from sparse_probing.probes.validation import Floats, Integers

MOST_NEW = 40
"""Neurons that join a working set at a time."""
NEARLY_IN = 0.85
"""Share of the k-th largest squared correlation from which a neuron joins."""
NARROWEST = 1e-3
"""Width of smoothing below which a relaxation is not refined."""


@dataclass(frozen=True)
class Effort:
    """How exactly a relaxation is solved."""

    newton_steps: int = 6
    decrease: float = 1e-6
    """Relative decrease of the objective at which Newton's method ends."""
    rounds: int = 3
    """Of growing the working set."""
    gap: float = 1e-4
    """Relative gap at which the bound is good enough."""
    share_of_target: float = 0.4
    """Of the distance from the relaxed objective to the target: a gap below it cannot be the reason for branching."""
    proximal_steps: int = 40
    exact_steps: int = 60


NODE = Effort()
ROOT = Effort(newton_steps=12, rounds=10, gap=2e-4, share_of_target=0.1)


@dataclass(frozen=True)
class Point:
    """A solution of a relaxation, or where one begins."""

    fixed: Integers
    """Neurons that are in the support."""
    working: Integers
    """Free neurons that may have coefficients."""
    coef: Floats
    """Of the fixed and then of the working neurons."""
    intercept: float

    @property
    def columns(self) -> Integers:
        """The fixed and then the working neurons."""
        return np.concatenate([self.fixed, self.working])

    @property
    def free_coef(self) -> Floats:
        """Coefficients of the working neurons."""
        return self.coef[len(self.fixed) :]

    def nonzero(self) -> Point:
        """Return the point without working neurons whose coefficient is zero."""
        keep = self.free_coef != 0
        coef = np.concatenate([self.coef[: len(self.fixed)], self.free_coef[keep]])
        return replace(self, working=self.working[keep], coef=coef)

    def with_working(self, neurons: Integers) -> Point:
        """Return the point with more working neurons, their coefficients zero."""
        coef = np.concatenate([self.coef, np.zeros(len(neurons))])
        return replace(self, working=np.concatenate([self.working, neurons]), coef=coef)


@dataclass(frozen=True)
class Relaxation:
    """What the relaxation of a node gives."""

    point: Point
    shares: Floats
    """(working,) how much of each working neuron is in the support."""
    objective: float
    """Of the relaxation; no support of the node reaches less than ``bound.value``, which lies below."""
    bound: Bound
    certificate: Certificate


def relax(
    problem: SparseProblem, start: Point, free: Integers, k: int, delta: float, target: float, effort: Effort = NODE
) -> Relaxation:
    """Solve the relaxation of "the fixed neurons and ``k`` of the free ones".

    Parameters
    ----------
    problem : SparseProblem
    start : Point
        Its working neurons are among the free ones.
    free : integers
        Neurons that may join the support.
    k : int
        How many of them do.
    delta : float
        Width over which a hinge is smoothed at first.
    target : float
        The relaxation ends when its bound reaches this.
    effort : Effort
    """
    best: Relaxation | None = None
    least, point = np.inf, start
    for _ in range(effort.rounds):
        point, decisions = _newton(problem, point, k, delta, effort)
        duals = _duals(problem, decisions, delta)
        bound = correlation_bound(problem, duals, point.fixed, free, k)
        shares, objective = _objective(problem, point, decisions, k)
        least = min(least, objective)
        if best is None or bound.value > best.bound.value:
            certificate = Certificate(point.columns, point.coef, point.intercept, delta)
            best = Relaxation(point, shares, least, bound, certificate)
        gap = least - best.bound.value
        if best.bound.value >= target or gap < max(effort.gap * least, effort.share_of_target * (target - least)):
            break
        point, delta = _next(problem, point, bound, free, k, delta)
        if delta < NARROWEST:
            break
    assert best is not None  # noqa: S101 - at least one round is made
    return replace(best, **_trimmed(best.point, k), objective=least)


def _trimmed(point: Point, k: int) -> dict[str, Point | Floats]:
    point = point.nonzero()
    shares = np.zeros(len(point.working))
    k_support(point.free_coef, k, shares)
    return {"point": point, "shares": shares}


def _duals(problem: SparseProblem, decisions: Floats, delta: float) -> Floats:
    v, h = np.empty(problem.n_rows), np.empty(problem.n_rows)
    all_points(problem.code, decisions, problem.y, problem.weight, delta, v, h)
    return balanced(problem.code, v, problem.weight)


def _objective(problem: SparseProblem, point: Point, decisions: Floats, k: int) -> tuple[Floats, float]:
    shares = np.zeros(len(point.working))
    penalty = _penalty(point.coef, len(point.fixed), k, shares, problem.ridge)
    return shares, total_loss(problem.code, decisions, problem.y, problem.weight) + penalty


def _penalty(coef: Floats, n_fixed: int, k: int, shares: Floats, ridge: float) -> float:
    fixed = coef[:n_fixed]
    return float(fixed @ fixed + k_support(coef[n_fixed:], k, shares)) / (2 * ridge)


def _newton(problem: SparseProblem, point: Point, k: int, delta: float, effort: Effort) -> tuple[Point, Floats]:
    """Return a better point and its decision values (n,)."""
    Z = problem.columns[point.columns].astype(np.float64)
    y, w, loss, n_fixed = problem.y, problem.weight, problem.code, len(point.fixed)
    v, h, shares = np.empty(problem.n_rows), np.empty(problem.n_rows), np.empty(len(point.working))
    coef, intercept = point.coef, point.intercept
    decisions = coef @ Z + intercept
    value = all_points(loss, decisions, y, w, delta, v, h) + _penalty(coef, n_fixed, k, shares, problem.ridge)
    for _ in range(effort.newton_steps):
        step, up = _direction(problem, Z, v, h, coef, n_fixed, k, effort)
        change = step @ Z + up
        length = min(1.0, LONGEST_STEP / max(np.abs(change).max(initial=0.0), 1e-300)) if loss != SQUARED else 1.0
        before = value
        for _halving in range(10):
            new, trial = coef + length * step, decisions + length * change
            value = all_points(loss, trial, y, w, delta, v, h) + _penalty(new, n_fixed, k, shares, problem.ridge)
            if value <= before * (1 - 1e-12):
                break
            length /= 2
        else:
            break
        coef, intercept, decisions = new, intercept + length * up, trial
        if before - value < effort.decrease * before:
            break
    return replace(point, coef=coef, intercept=float(intercept)), decisions


def _direction(
    problem: SparseProblem, Z: Floats, v: Floats, h: Floats, coef: Floats, n_fixed: int, k: int, effort: Effort
) -> tuple[Floats, float]:
    """Return the step of coefficients and intercept to the minimum of the quadratic model."""
    curved = np.flatnonzero(h > 0) if problem.code == HINGE else slice(None)
    Zh = Z[:, curved] * h[curved]
    H, mixed, bend = Zh @ Z[:, curved].T, Zh.sum(axis=1), h.sum() + 1e-8 * problem.weight.sum()
    gradient, slope = -(Z @ v), -v.sum()
    H -= np.outer(mixed, mixed) / bend
    c = gradient - mixed * (slope / bend) - H @ coef
    u = minimise_roughly(H, c, coef, n_fixed, k, problem.ridge, effort.proximal_steps, 1e-3)
    u = minimise_exactly(H, c, u, n_fixed, k, problem.ridge, effort.exact_steps)
    step = u - coef
    return step, float(-(slope + mixed @ step) / bend)


def _next(
    problem: SparseProblem, point: Point, bound: Bound, free: Integers, k: int, delta: float
) -> tuple[Point, float]:
    """Return a larger working set, or less smoothing where no neuron asks to join."""
    squares = bound.squares
    threshold = np.partition(squares, -k)[-k] if 0 < k < len(squares) else 0.0
    inside = np.zeros(problem.width, bool)
    inside[point.working] = True
    outside = np.flatnonzero(~inside[free] & (squares > NEARLY_IN * threshold))
    if not (squares[outside] > 1.0005 * threshold).any():
        delta = 0.3 * delta if problem.code == HINGE else 0.0
    best = outside[np.argsort(-squares[outside], kind="stable")[:MOST_NEW]]
    return (point.nonzero().with_working(free[best]) if len(best) else point), delta
