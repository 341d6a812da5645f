"""Newton's method for logistic fits of one layer, many at once, in the space of its rows.

All fits share the inner products of the rows, ``K = Z Z'`` (n, n). With ``w = Z' a`` the scores are ``K a + b``, so a
step of all fits is one product of K with one column for each of them.
`sparse_probing.probes.one_vs_rest.converged` has the objective.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh, qr
from scipy.special import expit

from sparse_probing.probes.inputs.validation import Floats, Integers

STALLED = 1e-11
"""Relative fall of the objective in a step that counts as none: the products have no more digits."""
MAX_CONJUGATE_STEPS = 100
"""Conjugate gradient steps of one Newton step."""
RANK = 100
"""Directions in which the conjugate gradient steps are whitened."""
MIN_CURVATURE = 1e-12
"""Of a row, so that rows far on their side of the boundary do not divide by zero."""


@dataclass(frozen=True)
class RowProducts:
    """The inner products K (n, n) of the rows of a layer, and the directions of its largest variances."""

    times: Callable[[Floats], Floats]
    """Multiplies (n, p) by K."""
    basis: Floats
    """Q (n, r), with Q' K Q = 1: Z' Q are orthonormal directions of the layer."""
    image: Floats
    """K Q (n, r)"""
    variances: Floats
    """(r,) sum of squares of the layer in each of these directions."""
    rest: float
    """Mean sum of squares in all others."""

    @classmethod
    def of(cls, Z: NDArray, precision: type[np.floating]) -> RowProducts:
        """Multiply the rows of ``Z`` (n, d), and find its directions of largest variance.

        With many more rows than columns, K is not computed; its products are those with Z' and then Z.

        References
        ----------
        Halko, Martinsson and Tropp, Finding Structure with Randomness (SIAM Review 2011), algorithm 4.4.
        """
        n, d = Z.shape
        Z = Z.astype(precision, copy=False)
        K = Z @ Z.T if n <= 2 * d else None

        def times(columns: Floats) -> Floats:
            rounded = columns.astype(precision, copy=False)
            return (Z @ (Z.T @ rounded) if K is None else K @ rounded).astype(np.float64)

        block = np.random.default_rng(0).standard_normal((n, min(RANK, n, d)))
        for _ in range(2):
            block, _ = qr(times(block), mode="economic", check_finite=False)
        image = times(block)
        variances, vectors = eigh(block.T @ image)
        regular = variances > np.finfo(precision).eps * 10 * max(n, d) * max(variances[-1], 0)
        scaled = vectors[:, regular] / np.sqrt(variances[regular])
        total = float(np.vecdot(Z, Z).sum(dtype=np.float64))
        rest = max(total - variances[regular].sum(), 0) / max(min(n, d) - regular.sum(), 1)
        return cls(times, block @ scaled, image @ scaled, variances[regular], float(rest))


def minimise(
    rows: RowProducts, sign: Floats, weight: Floats, dual: Floats, tolerance: float, max_iter: int
) -> tuple[Floats, Integers]:
    """Minimise the objectives of p fits by Newton steps, all at once.

    Parameters
    ----------
    rows : RowProducts
    sign : (n, p) array of -1 and +1
    weight : (p,) array
        C of each fit.
    dual : (n, p) array
        Where to start.
    tolerance : float
        Relative duality gap.
    max_iter : int

    Returns
    -------
    dual : (n, p) array
        ``w = Z' dual``.
    steps : (p,) array of int

    Notes
    -----
    At the minimum the dual of a row is C times its residual, ``a = C (t - p)``. With ``e = a - C (t - p)`` the
    gradient by w is ``Z' e``; its square ``e' K e`` is the gap's numerator, and the Newton step d of a solves
    ``(1 + C S K) d = -e`` with the curvatures S, projected so that the intercept follows.
    """
    dual, steps = dual.copy(), np.zeros(len(weight), np.int64)
    scores = rows.times(dual)
    squares = column_products(dual, scores)
    intercept, fits = np.zeros(len(weight)), np.arange(len(weight))
    stalled = np.zeros(len(weight), bool)
    for _ in range(max_iter):
        # The best intercept of every fit, its residuals and curvatures, and the gradient.
        y, C = sign[:, fits], weight[fits]
        intercept[fits] = best_intercepts(scores[:, fits], y, intercept[fits])
        margins = y * (scores[:, fits] + intercept[fits])
        wrong = expit(-margins)
        loss = C * np.logaddexp(0, -margins).sum(axis=0)
        objective = loss + squares[fits] / 2
        error = dual[:, fits] - C * y * wrong
        product = rows.times(error)
        gap = column_products(error, product) / 2 / objective
        going = (gap > tolerance) & ~stalled[fits]
        if not going.any():
            break
        fits, C, objective = fits[going], C[going], objective[going]
        y, margins, wrong = y[:, going], margins[:, going], wrong[:, going]
        curvature = C * np.maximum(wrong * (1 - wrong), MIN_CURVATURE)
        step, change = newton_step(rows, error[:, going], product[:, going], curvature, np.sqrt(gap[going]))
        # Halve the step until the objective falls by a share of what its slope promises (Armijo).
        shift = -column_products(curvature, change) / curvature.sum(axis=0)
        margin_step = y * (change + shift)
        cross, square = column_products(dual[:, fits], change), column_products(step, change)
        slope = column_products(product[:, going], step)
        length, ahead = np.ones(len(fits)), objective
        for _ in range(40):
            ahead = C * np.logaddexp(0, -(margins + length * margin_step)).sum(axis=0)
            ahead += (squares[fits] + 2 * length * cross + length**2 * square) / 2
            enough = ahead <= objective + 1e-4 * length * slope + 1e-12 * objective
            if enough.all():
                break
            length = np.where(enough, length, length / 2)
        dual[:, fits] += length * step
        scores[:, fits] += length * change
        intercept[fits] += length * shift
        squares[fits] += 2 * length * cross + length**2 * square
        steps[fits] += 1
        stalled[fits] = objective - ahead <= STALLED * objective
    return dual, steps


def newton_step(
    rows: RowProducts, error: Floats, product: Floats, curvature: Floats, forcing: Floats
) -> tuple[Floats, Floats]:
    """Return an approximate Newton step d of the dual of p fits, and K d; both (n, p).

    Parameters
    ----------
    rows : RowProducts
    error, product : (n, p) arrays
        e, and K e.
    curvature : (n, p) array
        C times the second derivatives of the loss.
    forcing : (p,) array
        By what share the residual must fall; at most a tenth counts.

    Notes
    -----
    Conjugate gradients in the inner product of K, where the operator is symmetric. On the directions of
    `RowProducts` the operator is nearly ``1 + s v`` for mean curvature s and variance v: the steps divide by it.
    """
    total, mean = curvature.sum(axis=0), curvature.mean(axis=0)
    damping = 1 - (1 + mean * rows.rest) / (1 + np.outer(rows.variances, mean))
    step, change = np.zeros_like(error), np.zeros_like(error)
    residual, product = -error, -product
    direction = image = np.zeros_like(error)
    least, previous = np.zeros(error.shape[1]), np.ones(error.shape[1])
    for iteration in range(MAX_CONJUGATE_STEPS):
        inside = damping * (rows.basis.T @ product)
        whitened, whitened_image = residual - rows.basis @ inside, product - rows.image @ inside
        size = column_products(residual, whitened_image)
        if iteration == 0:
            least = np.maximum(np.square(np.minimum(forcing, 0.1)) * size, np.finfo(float).tiny)
        # A fit whose residual is small enough, or only rounding, takes no further step.
        is_open = size > least
        if not is_open.any():
            break
        share = np.where(is_open, size / previous, 0) if iteration else 0
        direction, image = whitened + share * direction, whitened_image + share * image
        bent = direction + curvature * (image - column_products(curvature, image) / total)
        bend = column_products(image, bent)
        length = np.where(is_open & (bend > 0), size / np.where(bend > 0, bend, 1), 0)
        step += length * direction
        change += length * image
        residual = residual - length * bent
        previous, product = np.where(is_open, size, 1), rows.times(residual)
    return step, change


def column_products(left: Floats, right: Floats) -> Floats:
    """Return the inner product (p,) of every column of two (n, p) arrays."""
    return np.einsum("np,np->p", left, right)


def best_intercepts(scores: Floats, sign: Floats, start: Floats) -> Floats:
    """Return the intercepts (p,) that minimise the losses of scores (n, p), by bracketed Newton steps."""
    # Outside these ends every row, or no row, is more likely positive than the share of positives.
    share = (sign > 0).mean(axis=0)
    odds = np.log(share / (1 - share))
    low, high = odds - scores.max(axis=0), odds - scores.min(axis=0)
    intercept = np.clip(start, low, high)
    for _ in range(100):
        likely = expit(scores + intercept)
        excess = likely.mean(axis=0) - share
        low, high = np.where(excess < 0, intercept, low), np.where(excess > 0, intercept, high)
        moved = intercept - excess / np.maximum((likely * (1 - likely)).mean(axis=0), np.finfo(float).tiny)
        moved = np.where((moved < low) | (moved > high), (low + high) / 2, moved)
        if np.allclose(moved, intercept, rtol=1e-15, atol=1e-13):
            return moved
        intercept = moved
    return intercept
