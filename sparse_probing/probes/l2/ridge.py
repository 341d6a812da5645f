"""L2-regularised regression probes: all neurons over a path of alphas, and nested top-k supports.

The objective is scikit-learn's, ``sum_i (y_i - f_i)^2 + alpha |beta|^2`` with
``f = b + X beta``; the intercept is not penalised. Columns and targets are centred inside.
Solutions are direct, by one factorisation for all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg import LinAlgError, cholesky, eigh, solve_triangular

from probing_datasets.foundation.errors import ProbeError
from sparse_probing.probes.convergence import CONVERGED, CONVERGED_BELOW
from sparse_probing.probes.scaling import Columns, centred_columns
from sparse_probing.probes.validation import Floats, Integers, check_targets

ILL_CONDITIONED = "The system is too ill-conditioned for its alpha; raise alpha or standardise the activations."


@dataclass(frozen=True)
class RidgeFit:
    """A ridge regression probe and how well it was solved."""

    coef: Floats
    """(k,)"""
    intercept: float
    objective: float
    gap: float
    """Duality gap over the objective: how far it is at most, relatively, above its minimum."""
    iterations: int
    """Solved systems: one, without refinement."""
    status: str

    @property
    def converged(self) -> bool:
        """Whether the gap is below 1e-6."""
        return self.gap < CONVERGED_BELOW


def fit_ridge_path(X: ArrayLike, y: ArrayLike, alphas: Sequence[float]) -> dict[float, RidgeFit]:
    """Fit a regression probe to all columns of ``X``, for every alpha, by one eigendecomposition.

    Parameters
    ----------
    X : (n, d) array of any real dtype
    y : (n,) array of float
    alphas : sequence of float
        Positive, in any order.

    Returns
    -------
    dict of alpha to RidgeFit
        In increasing order.

    Raises
    ------
    ProbeError
        If ``X`` is empty or not finite, if the targets are not finite or all equal, or if an
        alpha is not positive.

    Notes
    -----
    The Gram matrix of the smaller side, columns or rows, is decomposed: O(n d min(n, d)).
    """
    X, y = check_targets(X, y)
    alphas = sorted({_checked_alpha(alpha) for alpha in alphas})
    means, design = centred_columns(X)
    centred = y - y.mean()
    wide = len(design) > len(y)
    values, vectors = eigh(design.T @ design if wide else design @ design.T, overwrite_a=True, check_finite=False)
    target = vectors.T @ (centred if wide else design @ centred)
    shifted = np.maximum(values, 0)[:, None] + alphas
    coefs = vectors @ (target[:, None] / shifted)
    if wide:
        coefs = design @ coefs
    residuals = centred[:, None] - design.T @ coefs
    return {alpha: _fit(coefs[:, i], residuals[:, i], design, alpha, means, y.mean()) for i, alpha in enumerate(alphas)}


def fit_nested_top_k_regression(
    X_ranked: ArrayLike, y: ArrayLike, ks: Sequence[int], alpha: float = 1.0
) -> dict[int, RidgeFit]:
    """Fit a regression probe to the first k columns of ``X_ranked``, for every k, by one Cholesky factor.

    A leading block of a Cholesky factor is the factor of the leading block.

    Parameters
    ----------
    X_ranked : (n, p) array of any real dtype
        Columns in rank order, best first; p is at least the largest k.
    y : (n,) array of float
    ks : sequence of int
        In any order.
    alpha : float
        Positive.

    Returns
    -------
    dict of k to RidgeFit
        In increasing order of k.

    Raises
    ------
    ProbeError
        As :func:`fit_ridge_path`, or if a k is below 1 or above p.
    """
    X_ranked, y = check_targets(X_ranked, y)
    ks, p, alpha = sorted({int(k) for k in ks}), X_ranked.shape[1], _checked_alpha(alpha)
    if not ks or ks[0] < 1 or ks[-1] > p:
        raise ProbeError(f"Cannot fit k in {ks} to {p} ranked neurons. Choose every k between 1 and {p}.")
    means, design = centred_columns(X_ranked[:, : ks[-1]])
    centred = y - y.mean()
    factor = _factor(design, alpha)
    whitened = solve_triangular(factor, design @ centred, lower=True, check_finite=False)
    fits = {}
    for k in ks:
        coef = solve_triangular(factor[:k, :k], whitened[:k], lower=True, trans="T", check_finite=False)
        fits[k] = _fit(coef, centred - coef @ design[:k], design[:k], alpha, means[:k], y.mean())
    return fits


def forward_selection(X: ArrayLike, y: ArrayLike, k: int) -> Integers:
    """Return k neurons (k,), each the one that, with those before it, lowers the squared error most.

    Parameters
    ----------
    X : (n, d) array of any real dtype
    y : (n,) array of float
        Class labels -1/+1 do as well.
    k : int
        Fewer are returned when the chosen ones fit the targets exactly, or span all columns.

    Raises
    ------
    ProbeError
        If ``X`` or ``y`` is refused by :func:`sparse_probing.probes.validation.check_targets`, if all
        columns are constant, or if k is not between 1 and d.

    Notes
    -----
    All other columns are kept orthogonal to the chosen ones implicitly: k passes over ``X``.

    References
    ----------
    Chen, Billings and Luo, Orthogonal least squares methods and their application to non-linear
    system identification (Int. J. Control 1989).
    """
    X, y = check_targets(X, y)
    if not 1 <= k <= X.shape[1]:
        raise ProbeError(f"Cannot select {k} of {X.shape[1]} neurons. Choose k between 1 and {X.shape[1]}.")
    columns = Columns.of(X, standardize=True)
    residual, basis, chosen = y - y.mean(), np.empty((k, len(y))), np.empty(k, np.int64)
    # Standardised columns have squared length n; less than this share of it left is rounding.
    left = np.where(np.isinf(columns.scale), 0.0, len(y))
    energy = residual @ residual
    for step in range(k):
        gain = np.divide(columns.correlate(residual) ** 2, left, out=np.zeros(len(left)), where=left > 1e-10 * len(y))
        chosen[step] = gain.argmax()
        if gain[chosen[step]] <= 1e-12 * energy:
            return chosen[:step]
        basis[step] = _orthonormal(columns.take(chosen[[step]])[0], basis[:step])
        residual -= (basis[step] @ residual) * basis[step]
        left -= columns.correlate(basis[step]) ** 2
        left[chosen[step]] = 0
    return chosen


def _orthonormal(column: Floats, basis: Floats) -> Floats:
    """Return a column less its projection on an orthonormal basis (k, n), twice for accuracy, with length 1."""
    for _ in range(2):
        column = column - (basis @ column) @ basis
    return column / np.linalg.norm(column)


def _checked_alpha(alpha: float) -> float:
    if not 0 < alpha < np.inf:
        raise ProbeError(f"alpha is {alpha}; it must be positive. The larger it is, the stronger the ridge.")
    return float(alpha)


def _factor(design: Floats, alpha: float) -> Floats:
    """Return the lower Cholesky factor (p, p) of the Gram matrix plus alpha."""
    gram = design @ design.T
    np.einsum("ii->i", gram)[:] += alpha
    try:
        return cholesky(gram, lower=True, overwrite_a=True, check_finite=False)
    except LinAlgError as error:
        raise ProbeError(f"alpha = {alpha} is below the rounding of these activations. {ILL_CONDITIONED}") from error


def _fit(coef: Floats, residual: Floats, design: Floats, alpha: float, means: Floats, target_mean: float) -> RidgeFit:
    """Return the fit, with the gap that its gradient proves: the dual point is the residual."""
    objective = float(residual @ residual + alpha * coef @ coef)
    half_gradient = alpha * coef - design @ residual
    gap = float(half_gradient @ half_gradient / alpha / objective)
    return RidgeFit(
        coef=coef,
        intercept=float(target_mean - coef @ means),
        objective=objective,
        gap=gap,
        iterations=1,
        status=CONVERGED if gap < CONVERGED_BELOW else ILL_CONDITIONED,
    )
