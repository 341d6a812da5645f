"""The inner problem: the best coefficients of one given support, with a bound that shows how good they are.

Newton's method; the hinge is smoothed, less and less, until the gap between the objective and the dual
bound of the *unsmoothed* problem is closed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit

from sparse_probing.probes.optimal.losses import HINGE, SQUARED, all_points, balance, balanced, dual_point, point
from sparse_probing.probes.optimal.problem import SparseProblem
from sparse_probing.probes.validation import Floats, Integers

TOLERANCE = 1e-6
"""Of the relative gap between objective and bound of a support, inside a search."""
FINAL_TOLERANCE = 1e-8
"""The same for the support that is returned; a hinge, which stays a little smoothed, comes to 5e-7 of it at least."""
WIDEST, NARROWEST = 0.3, 1e-7
"""Widths over which the hinge is smoothed, first and last: narrower, the rounding of a decision value would show."""
LONGEST_STEP = 4.0
"""By which a Newton step may change a decision value."""


@dataclass(frozen=True)
class Certificate:
    """A vector of duals, told by the linear function from which it follows.

    The duals are those of the loss, smoothed over ``delta``, at the decision values
    ``intercept + coef @ columns``; shrunk until their sum is zero.
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
    """Coefficients of a support, and a lower bound of what any coefficients reach."""

    support: Integers
    """(k,) increasing."""
    coef: Floats
    """(k,) for scaled neurons."""
    intercept: float
    objective: float
    bound: float
    certificate: Certificate


def fit_support(
    problem: SparseProblem,
    support: Integers,
    target: float = np.inf,
    tolerance: float = TOLERANCE,
    start: tuple[Floats, float] | None = None,
) -> SupportFit:
    """Fit one support.

    Parameters
    ----------
    problem : SparseProblem
    support : (k,) integers
        Different neurons, increasing.
    target : float
        Stop as soon as the bound reaches it: the support is then known to be of no use.
    tolerance : float
        Relative gap between objective and bound at which the fit ends.
    start : (coef, intercept), optional
        Where to begin; a good start makes the smoothing narrower from the outset.
    """
    coef, intercept = (np.zeros(len(support)), 0.0) if start is None else start
    delta = WIDEST if start is None else WIDEST / 3
    Z = problem.rows_of(support)
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
        _decide(Z, u, b, f)
        for _ in range(100):
            value = _sums(loss, Z, f, y, w, delta, v, H, up, down) + (u @ u) / (2 * g)
            if value < best:
                best, best_b = value, b
                best_u[:] = u
            lower = _bound(loss, v, y, w, g, up, down, weighted)
            if lower > bound:
                bound, proof_b, proof_delta = lower, b, delta
                proof_u[:] = u
            if bound >= target or best - bound <= tolerance * best:
                break
            gradient = -(up + down)
            gradient[:p] += u / g
            extra = 1e-12 * (total + np.trace(H))  # so that flat directions can be solved for
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
    # Once more from its coefficients alone, as everybody will who reads the certificate.
    _decide(Z, proof_u, proof_b, f)
    _sums(loss, Z, f, y, w, proof_delta, v, H, up, down)
    bound = _bound(loss, v, y, w, g, up, down, weighted)
    return best, bound, best_u, best_b, proof_u, proof_b, proof_delta


@njit(cache=True)
def _decide(Z, u, b, f):
    """Fill decision values (n,)."""
    p = Z.shape[1]
    for i in range(len(f)):
        t = b
        for j in range(p):
            t += Z[i, j] * u[j]
        f[i] = t


@njit(cache=True)
def _sums(loss, Z, f, y, w, delta, v, H, up, down):
    """Fill duals, curvature and the sums of positive and of negative duals; return the loss, not smoothed."""
    p = Z.shape[1]
    H[:], up[:], down[:] = 0.0, 0.0, 0.0
    total = 0.0
    for i in range(len(f)):
        value, v[i], h = point(loss, f[i], y[i], w[i], delta)
        total += w[i] * max(0.0, 1.0 - y[i] * f[i]) if loss == HINGE else value
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
    return total


@njit(cache=True)
def _bound(loss, v, y, w, g, up, down, weighted):
    """Return the bound of the balanced duals."""
    a, c, shift = balance(loss, v, w)
    total = 0.0
    for i in range(len(v)):
        total += dual_point(loss, v[i] * (a if v[i] > 0.0 else c) - shift * w[i], y[i], w[i])
    for j in range(len(weighted)):
        t = a * up[j] + c * down[j] - shift * weighted[j]
        total -= 0.5 * g * t * t
    return total


@njit(cache=True)
def _slope(loss, f, df, t, y, w, delta):
    """Return the derivative of the smoothed loss along a step."""
    total = 0.0
    for i in range(len(f)):
        total -= df[i] * point(loss, f[i] + t * df[i], y[i], w[i], delta)[1]
    return total


@njit(cache=True)
def _line_search(loss, f, df, y, w, delta, linear, quadratic, decrement):
    """Return the length at which the objective stops falling: 1, or found by bisection of its derivative."""
    if loss == SQUARED:
        return 1.0
    high = min(1.0, LONGEST_STEP / max(np.abs(df).max(), 1e-300))
    if _slope(loss, f, df, high, y, w, delta) + linear + high * quadratic <= 0.0:
        return high
    low = 0.0
    for halving in range(45):
        if halving >= 10 and low > 0.0:
            break
        t = 0.5 * (low + high)
        slope = _slope(loss, f, df, t, y, w, delta) + linear + t * quadratic
        if slope > 0.0:
            high = t
        else:
            low = t
            if slope > -0.1 * decrement:
                break
    return low if low > 0.0 else high
