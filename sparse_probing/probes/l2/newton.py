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

from sparse_probing.probes.inputs.validation import Floats

LARGEST_EXPONENT = 700.0
"""exp() of more would overflow; above it, log(1 + exp(u)) is u."""

FIRST_STEPS = 3
"""Steps of the first fit, with the Hessian at zero, before the Hessian is factored at the current point."""

STEPS_PER_FACTOR = 10
"""Conjugate gradient steps with one Hessian factor before the Hessian is factored again."""


@dataclass(frozen=True)
class Iterate:
    """One point, or a batch of points, with the derivatives that the next step needs."""

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

    Therefore a step never increases the objective, on separable data either: the ridge bounds
    the objective from below and keeps its minimum finite. The fits of a batch have different lengths.
    """
    rounding = 1e-14 * start.objective
    for _ in range(60):
        end = evaluate(start.theta + length[..., None] * step, start.margins + length[..., None] * margin_step, weights)
        sufficient = end.objective <= start.objective + 1e-4 * length * slope + rounding
        if sufficient.all():
            return end
        length = np.where(sufficient, length, length / 2)
    return start


def hessian_factor(design: Floats, curvature: Floats) -> Floats:
    """Return the lower Cholesky factor (p, p) of the Hessian for one curvature (n,) of the loss."""
    scaled = design * np.sqrt(curvature)
    return factor_of(scaled @ scaled.T)


def factor_of(hessian: Floats) -> Floats:
    """Return the lower Cholesky factor (p, p) of a Hessian of the loss plus that of the ridge; overwrites the former.

    The factor only preconditions steps. A little diagonal loading therefore costs nothing, and keeps
    duplicated and badly scaled columns positive definite.
    """
    diagonal = np.einsum("ii->i", hessian)
    diagonal[1:] += 1
    diagonal *= 1 + 1e-10
    return cholesky(hessian, lower=True, overwrite_a=True, check_finite=False)


def descend(
    start: Iterate, design: Floats, weights: Floats, factor: Floats, tolerance: float, max_steps: int
) -> Descent:
    """Take conjugate gradient steps, preconditioned by a Hessian factor, until ``tolerance`` or ``max_steps``.

    With the factor of the starting point the first step is a damped Newton step. The
    decrement is estimated as the larger of two values: in the metric of ``factor``, and
    along the search direction with the exact curvature there.

    References
    ----------
    Nocedal and Wright, Numerical Optimization (2006), section 5.2 (Polak-Ribiere, restarted).
    """
    now, previous, n_steps = start, None, 0
    while True:
        gradient = now.penalty_gradient - design @ now.residual
        newton = cho_solve((factor, True), gradient, check_finite=False)
        # The search direction: conjugate to the previous one, or steepest in the metric of the
        # factor where the conjugate direction would increase the objective.
        step = -newton
        if previous is not None:
            last_gradient, last_newton, last_step = previous
            share = (gradient - last_gradient) @ newton / (last_gradient @ last_newton)
            conjugate = max(share, 0.0) * last_step - newton
            if gradient @ conjugate < 0:
                step = conjugate
        # The exact second derivative along the direction gives the length of the step and the decrement.
        margin_step = step @ design
        slope = gradient @ step
        curvature = max((now.curvature * margin_step) @ margin_step + step[1:] @ step[1:], np.finfo(float).tiny)
        decrement = max(gradient @ newton, slope**2 / curvature) / 2 / now.objective
        if decrement <= tolerance or n_steps >= max_steps:
            return Descent(now, float(decrement), n_steps)
        previous, n_steps = (gradient, newton, step), n_steps + 1
        now = line_search(now, step, margin_step, slope, -slope / curvature, weights)


def minimise_nested(
    design: Floats,
    weights: Floats,
    sizes: list[int],
    tolerance: float,
    max_iter: int,
    start: Floats | None = None,
    factor: Floats | None = None,
) -> dict[int, Descent]:
    """Minimise over the first ``size`` rows of a design (p, n), for every size.

    From the largest size to the smallest, with few Hessians: a leading block of a Cholesky
    factor is the factor of the leading block, so the Hessian of the largest fit preconditions
    all smaller ones. A fit that does not converge soon gets a Hessian at its current point,
    which the smaller fits then inherit.

    ``start`` (p,) is where the largest fit starts, zero by default; ``factor`` (p, p) that of a Hessian near
    there, by default the one at zero.
    """
    theta = np.zeros(len(design)) if start is None else start
    factor = hessian_factor(design, weights / 4) if factor is None else factor
    steps_per_factor = FIRST_STEPS
    fits = {}
    for size in sorted(sizes, reverse=True):
        # Start at the minimum, over the first coordinates only, of the quadratic model with this
        # factor and its minimum at the last theta: one triangular solve.
        whitened, factor = (theta @ factor)[:size], factor[:size, :size]
        theta = solve_triangular(factor, whitened, lower=True, trans="T", check_finite=False)
        leading, total_steps = design[:size], 0
        now = evaluate(theta, theta @ leading, weights)
        while True:
            fit = descend(now, leading, weights, factor, tolerance, min(steps_per_factor, max_iter - total_steps))
            now, total_steps, steps_per_factor = fit.end, total_steps + fit.steps, STEPS_PER_FACTOR
            if fit.decrement <= tolerance or total_steps >= max_iter:
                break
            factor = hessian_factor(leading, now.curvature)
        fits[size], theta = replace(fit, steps=total_steps), now.theta
    return fits
