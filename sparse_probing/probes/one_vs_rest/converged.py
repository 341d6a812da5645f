"""One-vs-rest logistic probes of all classes and all values of C at once, to a certified optimum.

The objective of a class is scikit-learn's, ``C sum_i log(1 + exp(-y_i f_i)) + |w|^2 / 2`` with
``f_i = b + w z_i``; rows are not weighted and the intercept is not penalised. ``Z`` (n, d) are the activations
less their means.

All fits of a layer share the inner products of its rows, ``K = Z Z'`` (n, n). With ``w = Z' a`` the scores are
``K a + b``, so a step of all classes and all values of C is one product of K with one column for each of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import eigh, qr
from scipy.special import expit

from probing_datasets.foundation.errors import ProbeError
from sparse_probing.probes.convergence import CONVERGED_BELOW
from sparse_probing.probes.inputs.scaling import undo_scaling
from sparse_probing.probes.inputs.validation import Floats, Integers, check_activations, check_C

AIM = 0.01
"""Share of the requested gap at which Newton's method stops, so that the certificate confirms it."""
STALLED = 1e-11
"""Relative fall of the objective in a step that counts as none: the products have no more digits."""
MAX_NEWTON_STEPS = 60
MAX_CONJUGATE_STEPS = 100
"""Conjugate gradient steps of one Newton step."""
RANK = 100
"""Directions in which the conjugate gradient steps are whitened."""
ROWS_AT_ONCE = 64
"""Rows that the certificate converts to float64 at once."""
MIN_CURVATURE = 1e-12
"""Of a row, so that rows far on their side of the boundary do not divide by zero."""


@dataclass(frozen=True)
class OneVsRestPath:
    """Probes of every class for every value of C, and how near each is to its optimum."""

    Cs: tuple[float, ...]
    coef: Floats
    """(m, K, d) for the activations that were passed."""
    intercept: Floats
    """(m, K)"""
    objective: Floats
    """(m, K)"""
    gap: Floats
    """(m, K) duality gap over the objective, computed from the activations in float64: an upper bound of the relative
    distance to the minimum."""
    iterations: Integers
    """(m, K) Newton steps."""

    def scores(self, X: ArrayLike) -> Floats:
        """Return the decision values (m, n, K) of activations (n, d)."""
        return np.asarray(X) @ np.swapaxes(self.coef, 1, 2) + self.intercept[:, None]


def fit_one_vs_rest(
    X: ArrayLike,
    targets: ArrayLike,
    Cs: Sequence[float],
    tolerance: float = CONVERGED_BELOW,
    max_iter: int = MAX_NEWTON_STEPS,
) -> OneVsRestPath:
    """Fit a probe of all columns of ``X`` to every class, for every value of C.

    Parameters
    ----------
    X : (n, d) array of any real dtype
        Scaled activations; they need not be centred.
    targets : (n, K) array of bool
        Whether a row has a class. A row may have several classes, or none; a binary feature has K = 1.
    Cs : sequence of float
        Weights of the loss against the ridge.
    tolerance : float
        Relative duality gap of every fit, if ``max_iter`` steps are enough.
    max_iter : int
        Newton steps in each precision.

    Raises
    ------
    ProbeError
        If ``X`` is empty or not finite, the shapes do not fit, all rows or no rows have a class, or a C is not
        positive.

    Notes
    -----
    Newton's method, of which each step is solved by conjugate gradients. They are whitened in the 100 directions of
    largest variance, which all classes and values of C share. The products of rows are float32, at half the cost of
    float64. Every fit is then certified from the activations in float64, and one that is further than ``tolerance``
    from its optimum continues with products in float64.
    """
    X, is_class = check_activations(X), check_targets(targets, len(np.asarray(X)))
    for C in Cs:
        check_C(C)
    # Rounded means centre nearly as well, and the intercept is free: the minimum is the same for any of them.
    precision_of_rows = np.promote_types(X.dtype, np.float32)
    mean = X.mean(axis=0, dtype=np.float64).astype(precision_of_rows)
    Z = np.subtract(X, mean, dtype=precision_of_rows, order="C")
    # A column for every value of C and class: all classes of the first C first.
    sign = np.tile(np.where(is_class, 1.0, -1.0), len(Cs))
    weight = np.repeat(np.asarray(Cs, np.float64), is_class.shape[1])
    dual, steps = np.zeros(sign.shape), np.zeros(len(weight), np.int64)
    coef, intercept = np.zeros((len(weight), X.shape[1])), np.zeros(len(weight))
    objective, gap = np.full((2, len(weight)), np.inf)
    for precision in (np.float32, np.float64):
        fits = np.flatnonzero(gap > tolerance)
        if len(fits):
            rows, of_fits = RowProducts.of(Z, precision), sign[:, fits]
            dual[:, fits], taken = minimise(rows, of_fits, weight[fits], dual[:, fits], AIM * tolerance, max_iter)
            steps[fits] += taken
            coef[fits], intercept[fits], objective[fits], gap[fits] = certified(Z, dual[:, fits], of_fits, weight[fits])
    coef, intercept = undo_scaling(coef, intercept, mean.astype(np.float64))
    grid = (len(Cs), is_class.shape[1])
    return OneVsRestPath(
        tuple(Cs),
        coef.reshape(*grid, -1),
        np.reshape(intercept, grid),
        objective.reshape(grid),
        gap.reshape(grid),
        steps.reshape(grid),
    )


def check_targets(targets: ArrayLike, n: int) -> NDArray[np.bool_]:
    """Return which of n rows have which class (n, K), after a check that every class has rows with and without it.

    Raises
    ------
    ProbeError
        If they are not booleans of this shape, or all rows or no rows have a class.
    """
    is_class = np.asarray(targets)
    if is_class.dtype != np.bool_ or is_class.ndim != 2 or len(is_class) != n or not is_class.shape[1]:
        raise ProbeError(f"Targets must be booleans (rows, classes) for {n} rows; got {is_class.shape}.")
    one_sided = is_class.all(axis=0) | ~is_class.any(axis=0)
    if one_sided.any():
        raise ProbeError(f"All rows or no rows have class {one_sided.argmax()}. A probe needs rows with and without.")
    return is_class


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


def certified(Z: NDArray, dual: Floats, sign: Floats, weight: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """Return coefficients (p, d), intercepts, objectives and relative duality gaps (p,) of duals (n, p), in float64.

    Notes
    -----
    Less its best intercept, the objective is strongly convex in w: it is at most ``|gradient|^2 / 2`` above its
    minimum.
    """
    blocks = [slice(start, start + ROWS_AT_ONCE) for start in range(0, len(Z), ROWS_AT_ONCE)]
    coef, scores = np.zeros((dual.shape[1], Z.shape[1])), np.empty_like(dual)
    for rows in blocks:
        coef += dual[rows].T @ Z[rows].astype(np.float64)
    for rows in blocks:
        scores[rows] = Z[rows].astype(np.float64) @ coef.T
    intercept = best_intercepts(scores, sign, np.zeros(len(weight)))
    margins = sign * (scores + intercept)
    objective = weight * np.logaddexp(0, -margins).sum(axis=0) + np.square(coef).sum(axis=1) / 2
    residual, gradient = weight * sign * expit(-margins), coef.copy()
    for rows in blocks:
        gradient -= residual[rows].T @ Z[rows].astype(np.float64)
    return coef, intercept, objective, np.square(gradient).sum(axis=1) / 2 / objective
