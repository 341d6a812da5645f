"""Damped Newton and conjugate gradient steps on the L2-regularised logistic objective.

The objective is scikit-learn's, ``C sum_i w_i log(1 + exp(-m_i)) + |beta|^2 / 2`` with
margins ``m_i = y_i (b + beta x_i)``. Labels are folded into the design: row 0 of a design
(p, n) is ``y``, row j is ``y`` times a centred column, so that ``margins = theta @ design``
with ``theta = (b, beta)``. ``weights`` (n,) are ``C w_i``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.linalg import cho_solve, cholesky, solve_triangular

from sparse_probing.probes.validation import Floats

LARGEST_EXPONENT = 700.0
"""exp() of more would overflow; beyond, log(1 + exp(u)) grows like u."""

FIRST_STEPS = 3
"""Steps from zero before the Hessian is factored at a point near the optimum."""

STEPS_PER_FACTOR = 10
"""Conjugate gradient steps with one Hessian factor before it is renewed."""


@dataclass(frozen=True)
class Iterate:
    """One point, or a batch of points, with what the next step needs."""

    theta: Floats
    """(..., p), the intercept first."""
    margins: Floats
    """(..., n)"""
    objective: Floats
    """(...)"""
    residual: Floats
    """(..., n), minus the derivative of the objective by the margins."""
    curvature: Floats
    """(..., n), its second derivative by the margins."""

    @property
    def penalty_gradient(self) -> Floats:
        """(..., p): the intercept is not penalised."""
        gradient = self.theta.copy()
        gradient[..., 0] = 0
        return gradient


@dataclass(frozen=True)
class Descent:
    """Where a descent ended."""

    end: Iterate
    decrement: float
    """Half the squared Newton decrement over the objective at ``end``."""
    steps: int


def evaluate(theta: Floats, margins: Floats, weights: Floats) -> Iterate:
    """Return the objective and its derivatives by the margins; ``weights`` may differ within a batch, (..., n)."""
    odds = np.exp(np.minimum(-margins, LARGEST_EXPONENT))
    loss = np.vecdot(np.log1p(odds), weights)
    if margins.min() < -LARGEST_EXPONENT:
        loss += np.vecdot(np.maximum(-margins - LARGEST_EXPONENT, 0), weights)
    total = odds + 1
    odds /= total
    odds *= weights
    return Iterate(
        theta=theta,
        margins=margins,
        objective=loss + np.square(theta[..., 1:]).sum(axis=-1) / 2,
        residual=odds,
        curvature=odds / total,
    )


def line_search(
    start: Iterate, step: Floats, margin_step: Floats, slope: Floats, length: Floats, weights: Floats
) -> Iterate:
    """Halve ``length`` until the objective falls by a share of what its ``slope`` promises (Armijo).

    A step can therefore never go up, on separable data neither: the ridge bounds the
    objective from below and keeps its minimum finite. Of a batch, every problem has its
    own length.
    """
    rounding = 1e-14 * start.objective
    for _ in range(60):
        end = evaluate(start.theta + length[..., None] * step, start.margins + length[..., None] * margin_step, weights)
        enough = end.objective <= start.objective + 1e-4 * length * slope + rounding
        if enough.all():
            return end
        length = np.where(enough, length, length / 2)
    return start


def hessian_factor(design: Floats, curvature: Floats) -> Floats:
    """Return the lower Cholesky factor (p, p) of the Hessian for one curvature (n,) of the loss."""
    scaled = design * np.sqrt(curvature)
    hessian = scaled @ scaled.T
    # It only guides steps, so a trace of diagonal loading costs nothing and keeps
    # duplicated and badly scaled columns positive definite.
    diagonal = np.einsum("ii->i", hessian)
    diagonal[1:] += 1
    diagonal *= 1 + 1e-10
    return cholesky(hessian, lower=True, overwrite_a=True, check_finite=False)


def descend(start: Iterate, design: Floats, weights: Floats, factor: Floats, tolerance: float, steps: int) -> Descent:
    """Take conjugate gradient steps, preconditioned by a Hessian factor, until ``tolerance`` or ``steps``.

    With the factor of the starting point the first step is a damped Newton step. The
    decrement is estimated as the larger of two values: in the metric of ``factor``, and
    along the search direction with the exact curvature there.

    References
    ----------
    Nocedal and Wright, Numerical Optimization (2006), section 5.2 (Polak-Ribiere, restarted).
    """
    now, memory, taken = start, None, 0
    while True:
        gradient = now.penalty_gradient - design @ now.residual
        newton = cho_solve((factor, True), gradient, check_finite=False)
        step = _conjugate_step(gradient, newton, memory)
        margin_step = step @ design
        slope = gradient @ step
        bend = max((now.curvature * margin_step) @ margin_step + step[1:] @ step[1:], np.finfo(float).tiny)
        decrement = max(gradient @ newton, slope**2 / bend) / 2 / now.objective
        if decrement <= tolerance or taken >= steps:
            return Descent(now, float(decrement), taken)
        memory, taken = (gradient, newton, step), taken + 1
        now = line_search(now, step, margin_step, slope, -slope / bend, weights)


def _conjugate_step(gradient: Floats, newton: Floats, memory: tuple[Floats, Floats, Floats] | None) -> Floats:
    """Return the next search direction; steepest in the factor's metric where conjugacy would go up."""
    if memory is None:
        return -newton
    last_gradient, last_newton, last_step = memory
    share = (gradient - last_gradient) @ newton / (last_gradient @ last_newton)
    step = max(share, 0.0) * last_step - newton
    return step if gradient @ step < 0 else -newton


def minimise_nested(
    design: Floats, weights: Floats, sizes: list[int], tolerance: float, max_iter: int
) -> dict[int, Descent]:
    """Minimise over the first ``size`` rows of a design (p, n), for every size.

    From the largest size to the smallest, with few Hessians: a leading block of a Cholesky
    factor is the factor of the leading block, so the Hessian of the largest problem
    preconditions all smaller ones, and the minimum of its quadratic model over fewer
    coordinates, where they start, is one triangular solve. A problem that does not
    converge soon gets a Hessian of its own, which the smaller ones then inherit.
    """
    theta, factor, patience = np.zeros(len(design)), hessian_factor(design, weights / 4), FIRST_STEPS
    fits = {}
    for size in sorted(sizes, reverse=True):
        theta, factor = _restrict(theta, factor, size)
        leading = design[:size]
        start = evaluate(theta, theta @ leading, weights)
        fits[size], factor = _minimise(start, leading, weights, factor, tolerance, patience, max_iter)
        theta, patience = fits[size].end.theta, STEPS_PER_FACTOR
    return fits


def _restrict(theta: Floats, factor: Floats, size: int) -> tuple[Floats, Floats]:
    """Minimise over the first coordinates the quadratic with this factor and its minimum at ``theta``."""
    leading, whitened = factor[:size, :size], (theta @ factor)[:size]
    return solve_triangular(leading, whitened, lower=True, trans="T", check_finite=False), leading


def _minimise(
    now: Iterate,
    design: Floats,
    weights: Floats,
    factor: Floats,
    tolerance: float,
    patience: int,
    max_iter: int,
) -> tuple[Descent, Floats]:
    """Descend to the tolerance, with a new Hessian factor when patience ends; return the last factor too."""
    total = 0
    while True:
        fit = descend(now, design, weights, factor, tolerance, min(patience, max_iter - total))
        now, total = fit.end, total + fit.steps
        if fit.decrement <= tolerance or total >= max_iter:
            return replace(fit, steps=total), factor
        factor, patience = hessian_factor(design, now.curvature), STEPS_PER_FACTOR
