"""The best coefficients of one given support, with a lower bound that shows how close to the best they are.

Newton's method. The hinge is smoothed over a width that decreases until the gap between the objective and the
dual bound, both of the problem *without* smoothing, is closed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit

from sparse_probing.probes.inputs.validation import Floats, Integers
from sparse_probing.probes.optimal.losses import HINGE, SQUARED, all_points, balance, balanced, dual_point, point
from sparse_probing.probes.optimal.problem import SparseProblem

TOLERANCE = 1e-6
"""Relative gap between objective and bound to which supports are fitted during a search."""
FINAL_TOLERANCE = 1e-11
"""The same for the support that is returned: the start of the fit no longer shows. A hinge always stays slightly
smoothed, so its gap reaches about 5e-7."""
WIDEST, NARROWEST = 0.3, 1e-7
"""First and last width of smoothing; with a narrower one, the rounding of a decision value would show."""
LONGEST_STEP = 4.0
"""Largest change of a decision value in one Newton step."""


@dataclass(frozen=True)
class Certificate:
    """A vector of duals, described by the linear function that it is computed from.

    The duals are those of the loss, smoothed over ``delta``, at the decision values
    ``intercept + coef @ columns``, balanced so that their sum is zero.
    """

    columns: Integers
    coef: Floats
    intercept: float
    delta: float

    def duals(self, problem: SparseProblem) -> Floats:
        """Return the balanced duals (n,)."""
        decisions = self.coef @ problem.columns[self.columns] + self.intercept
        v, h = np.empty(problem.n_rows), np.empty(problem.n_rows)
        all_points(problem.code, decisions, problem.y, problem.weight, self.delta, v, h)
        return balanced(problem.code, v, problem.weight)


@dataclass(frozen=True)
class SupportFit:
    """The coefficients of a support, and a lower bound for the objective of any coefficients."""

    support: Integers
    """(k,) neurons in increasing order."""
    coef: Floats
    """(k,) coefficients of the scaled neurons."""
    intercept: float
    objective: float
    bound: float
    certificate: Certificate
    """Of the bound."""
    intercepts: tuple[float, float] | None = None
    """Ends of the interval of equally good intercepts, where it was computed."""


def objective_of(problem: SparseProblem, support: Integers, coef: Floats, intercept: float) -> float:
    """Return the objective, not smoothed, of coefficients and an intercept."""
    decisions = coef @ problem.columns[support].astype(np.float64) + intercept
    v, h = np.empty(problem.n_rows), np.empty(problem.n_rows)
    loss = all_points(problem.code, decisions, problem.y, problem.weight, 0.0, v, h)
    return loss + float(coef @ coef) / (2 * problem.ridge)


def fit_support(
    problem: SparseProblem,
    support: Integers,
    target: float = np.inf,
    tolerance: float = TOLERANCE,
    start: tuple[Floats, float] | None = None,
) -> SupportFit:
    """Fit the coefficients and the intercept of one support.

    Parameters
    ----------
    problem : SparseProblem
    support : (k,) integers
        Different neurons in increasing order.
    target : float
        The fit ends as soon as its bound reaches this value: the support cannot be better than that.
    tolerance : float
        Relative gap between objective and bound at which the fit ends.
    start : (coef, intercept), optional
        Starting point; with one, the smoothing starts at a third of its usual width.
    """
    coef, intercept = (np.zeros(len(support)), 0.0) if start is None else start
    delta = WIDEST if start is None else WIDEST / 3
    Z = np.ascontiguousarray(problem.columns[support].T, dtype=np.float64)
    objective, bound, u, b, c_u, c_b, c_delta = _minimise(
        problem.code, Z, problem.y, problem.weight, problem.ridge, coef, float(intercept), delta, target, tolerance
    )
    return SupportFit(support, u, b, objective, bound, Certificate(support, c_u, c_b, c_delta))


@njit(cache=True)
def _minimise(loss, Z, y, w, g, u, b, delta, target, tolerance):
    """Return objective, bound, coefficients, intercept, and the certificate's coefficients, intercept and delta."""
    n, p = Z.shape
    H, up, down, weighted = np.empty((p + 1, p + 1)), np.empty(p + 1), np.empty(p + 1), np.zeros(p)
    f, df, v, total = np.empty(n), np.empty(n), np.empty(n), w.sum()
    for i in range(n):
        for j in range(p):
            weighted[j] += w[i] * Z[i, j]
    best, bound = np.inf, -np.inf
    u, best_u, best_b = u.copy(), u.copy(), b
    proof_u, proof_b, proof_delta = u.copy(), b, delta
    while True:
        # Newton's method for one width of smoothing.
        _decide(Z, u, b, f)
        for _ in range(100):
            # The objective is an upper bound of the optimum, the duals at the same point give a lower bound.
            value, lower = _evaluate(loss, Z, f, y, w, g, delta, weighted, v, H, up, down)
            value += (u @ u) / (2 * g)
            if value < best:
                best, best_b = value, b
                best_u[:] = u
            if lower > bound:
                bound, proof_b, proof_delta = lower, b, delta
                proof_u[:] = u
            if bound >= target or best - bound <= tolerance * best:
                break
            # The Newton step, with an exact line search.
            gradient = -(up + down)
            gradient[:p] += u / g
            extra = 1e-12 * (total + np.trace(H))  # so that the system has a solution along flat directions
            for j in range(p + 1):
                H[j, j] += extra + (1 / g if j < p else 0.0)
            step = -np.linalg.solve(H, gradient)
            decrement = -(step @ gradient)
            if decrement < 1e-13 * total:
                break
            _decide(Z, step, step[p], df)
            length = _line_search(loss, f, df, y, w, delta, (u @ step[:p]) / g, (step[:p] @ step[:p]) / g, decrement)
            u += length * step[:p]
            b += length * step[p]
            f += length * df
        if bound >= target or best - bound <= tolerance * best or loss != HINGE or delta <= NARROWEST:
            break
        delta *= 0.2 if delta > 0.01 else 0.4
        u[:] = best_u
        b = best_b
    # The bound is computed again from only the certificate's coefficients, as every reader of the certificate does.
    _decide(Z, proof_u, proof_b, f)
    bound = _evaluate(loss, Z, f, y, w, g, proof_delta, weighted, v, H, up, down)[1]
    return best, bound, best_u, best_b, proof_u, proof_b, proof_delta


@njit(cache=True)
def _decide(Z, u, b, f):
    """Fill the decision values f (n,)."""
    p = Z.shape[1]
    for i in range(len(f)):
        t = b
        for j in range(p):
            t += Z[i, j] * u[j]
        f[i] = t


@njit(cache=True)
def _evaluate(loss, Z, f, y, w, g, delta, weighted, v, H, up, down):
    """Return the sum of the losses, not smoothed, and the bound of the balanced duals.

    Fills the duals v (n,), the curvature H (p + 1, p + 1), and the sums up and down (p + 1,) of the positive and
    of the negative duals, each times the row and a 1. ``weighted`` (p,) holds the weighted sums of the columns.
    """
    p = Z.shape[1]
    H[:], up[:], down[:] = 0.0, 0.0, 0.0
    value = 0.0
    for i in range(len(f)):
        smoothed, v[i], h = point(loss, f[i], y[i], w[i], delta)
        value += w[i] * max(0.0, 1.0 - y[i] * f[i]) if loss == HINGE else smoothed
        side = up if v[i] > 0.0 else down
        if v[i] != 0.0:
            for j in range(p):
                side[j] += v[i] * Z[i, j]
            side[p] += v[i]
        if h > 0.0:
            for j in range(p):
                t = h * Z[i, j]
                for m in range(j + 1):
                    H[j, m] += t * Z[i, m]
                H[p, j] += t
            H[p, p] += h
    for j in range(p + 1):
        for m in range(j):
            H[m, j] = H[j, m]
    # The bound: sum_i dual_value(v_i) - g / 2 * sum_j (x_j . v)^2 at the balanced duals.
    a, c, shift = balance(loss, v, w)
    bound = 0.0
    for i in range(len(v)):
        bound += dual_point(loss, v[i] * (a if v[i] > 0.0 else c) - shift * w[i], y[i], w[i])
    for j in range(p):
        t = a * up[j] + c * down[j] - shift * weighted[j]
        bound -= 0.5 * g * t * t
    return value, bound


@njit(cache=True)
def _line_search(loss, f, df, y, w, delta, linear, quadratic, decrement):
    """Return the step length at which the objective stops decreasing, by bisection of its derivative; at most 1."""
    if loss == SQUARED:
        return 1.0
    low, high = 0.0, min(1.0, LONGEST_STEP / max(np.abs(df).max(), 1e-300))
    t = high
    for trial in range(46):
        if trial > 10 and low > 0.0:
            break
        slope = 0.0
        for i in range(len(f)):
            slope -= df[i] * point(loss, f[i] + t * df[i], y[i], w[i], delta)[1]
        slope = slope + linear + t * quadratic
        if slope > 0.0:
            high = t
        else:
            low = t
            if trial == 0 or slope > -0.1 * decrement:  # the longest step, or flat enough
                break
        t = 0.5 * (low + high)
    return low if low > 0.0 else high
