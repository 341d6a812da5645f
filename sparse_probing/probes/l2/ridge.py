"""L2-regularised regression probes: all neurons over a path of alphas, and nested top-k supports.

The objective is scikit-learn's, ``sum_i (y_i - f_i)^2 + alpha |beta|^2`` with
``f = b + X beta``; the intercept is not penalised. The fits centre columns and targets, and
solve for all alphas, or all k, with one factorisation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg import LinAlgError, cholesky, eigh, solve_triangular

from probing_datasets.foundation.errors import ProbeError
from sparse_probing.probes.convergence import is_converged, status_of
from sparse_probing.probes.inputs.scaling import ScaledColumns, centred_columns, undo_scaling
from sparse_probing.probes.inputs.validation import Floats, Integers, check_ks, check_targets
from sparse_probing.probes.splits.grouped_split import Split

ILL_CONDITIONED = "The system is too ill-conditioned for its alpha; raise alpha or standardise the activations."


@dataclass(frozen=True)
class RidgeFit:
    """A ridge regression probe and how near its objective is to the minimum."""

    coef: Floats
    """(k,)"""
    intercept: float
    objective: float
    gap: float
    """Duality gap over the objective: an upper bound of the relative distance to the minimum."""
    iterations: int
    """Systems that were solved: one."""
    status: str

    @property
    def converged(self) -> bool:
        """Whether the gap is at most 1e-6."""
        return is_converged(self.gap)


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
    return {
        alpha: _ridge_fit(coef, residual, design, alpha, means, y.mean())
        for alpha, coef, residual in zip(alphas, coefs.T, residuals.T, strict=True)
    }


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
    ks, alpha = check_ks(ks, X_ranked.shape[1]), _checked_alpha(alpha)
    means, design = centred_columns(X_ranked[:, : ks[-1]])
    centred = y - y.mean()
    gram = design @ design.T
    np.einsum("ii->i", gram)[:] += alpha
    try:
        factor = cholesky(gram, lower=True, overwrite_a=True, check_finite=False)
    except LinAlgError as error:
        raise ProbeError(f"alpha = {alpha} is below the rounding of these activations. {ILL_CONDITIONED}") from error
    whitened = solve_triangular(factor, design @ centred, lower=True, check_finite=False)
    fits = {}
    for k in ks:
        coef = solve_triangular(factor[:k, :k], whitened[:k], lower=True, trans="T", check_finite=False)
        fits[k] = _ridge_fit(coef, centred - coef @ design[:k], design[:k], alpha, means[:k], y.mean())
    return fits


def ridge_held_out_predictions(X: ArrayLike, y: ArrayLike, folds: Sequence[Split], alphas: Sequence[float]) -> Floats:
    """Return the predictions (n_alphas, n, 1) of held-out rows by probes of all columns, for alphas in rising order.

    Every row is on the test side of one fold. A fold is decomposed once, as in :func:`fit_ridge_path`.
    """
    X, y = check_targets(X, y)
    predictions = np.empty((len(alphas), len(y), 1))
    for fold in folds:
        if np.ptp(y[fold.train]) == 0:  # one target predicts itself
            predictions[:, fold.test] = y[fold.train][0]
            continue
        for i, fit in enumerate(fit_ridge_path(X[fold.train], y[fold.train], alphas).values()):
            predictions[i, fold.test, 0] = X[fold.test] @ fit.coef + fit.intercept
    return predictions


def nested_ridge_held_out_predictions(
    X_ranked: ArrayLike, y: ArrayLike, ks: Sequence[int], folds: Sequence[Split], alphas: Sequence[float]
) -> Floats:
    """Return the same (n_alphas, n, n_ks) for probes of the first k columns, for every k in rising order."""
    X, y = check_targets(X_ranked, y)
    predictions = np.empty((len(alphas), len(y), len(ks)))
    for fold in folds:
        means, design = centred_columns(X[fold.train, : ks[-1]])
        held_out, mean = X[fold.test, : ks[-1]] - means, y[fold.train].mean()
        gram, target = design @ design.T, design @ (y[fold.train] - mean)
        for i, alpha in enumerate(alphas):
            shifted = gram.copy()
            # A fold only chooses: loading keeps equal columns positive definite at the smallest alphas.
            np.einsum("ii->i", shifted)[:] += alpha + 1e-10 * gram.trace() / len(gram)
            factor = cholesky(shifted, lower=True, overwrite_a=True, check_finite=False)
            whitened = solve_triangular(factor, target, lower=True, check_finite=False)
            for j, k in enumerate(ks):
                coef = solve_triangular(factor[:k, :k], whitened[:k], lower=True, trans="T", check_finite=False)
                predictions[i, fold.test, j] = mean + held_out[:, :k] @ coef
    return predictions


def forward_selection(X: ArrayLike, y: ArrayLike, k: int) -> Integers:
    """Return k neurons (k,), each the one that lowers the squared error most together with those before it.

    Parameters
    ----------
    X : (n, d) array of any real dtype
    y : (n,) array of float
        Class labels -1/+1 are valid targets.
    k : int
        Fewer neurons are returned when they fit the targets exactly, or span all columns.

    Raises
    ------
    ProbeError
        If ``X`` or ``y`` is refused by :func:`sparse_probing.probes.inputs.validation.check_targets`, if all
        columns are constant, or if k is not between 1 and d.

    Notes
    -----
    The remaining columns are orthogonalised to the selected ones implicitly: k passes over ``X``.

    References
    ----------
    Chen, Billings and Luo, Orthogonal least squares methods and their application to non-linear
    system identification (Int. J. Control 1989).
    """
    X, y = check_targets(X, y)
    if not 1 <= k <= X.shape[1]:
        raise ProbeError(f"Cannot select {k} of {X.shape[1]} neurons. Choose k between 1 and {X.shape[1]}.")
    columns = ScaledColumns.of(X, standardize=True)
    n = len(y)
    residual, basis, selected = y - y.mean(), np.empty((k, n)), np.empty(k, np.int64)
    energy = residual @ residual
    # Squared length of every column that is orthogonal to the basis; standardised columns have n.
    remaining = np.where(np.isinf(columns.scale), 0.0, n)
    for step in range(k):
        # How much each column would lower the squared error. A share of 1e-10 of its length is rounding.
        correlation = columns.correlate(residual)
        gain = np.divide(correlation**2, remaining, out=np.zeros(len(remaining)), where=remaining > 1e-10 * n)
        selected[step] = gain.argmax()
        if gain[selected[step]] <= 1e-12 * energy:
            return selected[:step]
        # Gram-Schmidt, twice for accuracy.
        column = columns.take(selected[[step]])[0]
        for _ in range(2):
            column = column - (basis[:step] @ column) @ basis[:step]
        basis[step] = column / np.linalg.norm(column)
        residual -= (basis[step] @ residual) * basis[step]
        remaining -= columns.correlate(basis[step]) ** 2
        remaining[selected[step]] = 0
    return selected


def _checked_alpha(alpha: float) -> float:
    if not 0 < alpha < np.inf:
        raise ProbeError(f"alpha is {alpha}; it must be positive. A larger alpha is a stronger ridge.")
    return float(alpha)


def _ridge_fit(
    coef: Floats, residual: Floats, design: Floats, alpha: float, means: Floats, target_mean: float
) -> RidgeFit:
    """Return the probe of stored activations, with the gap that its gradient proves: the dual point is the residual."""
    objective = float(residual @ residual + alpha * coef @ coef)
    half_gradient = alpha * coef - design @ residual
    gap = float(half_gradient @ half_gradient / alpha / objective)
    coef, intercept = undo_scaling(coef, target_mean, means)
    return RidgeFit(coef, float(intercept), objective, gap, iterations=1, status=status_of(gap, ILL_CONDITIONED))
