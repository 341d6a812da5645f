"""L2-regularised logistic probes: nested top-k supports, all neurons.

The objective is scikit-learn's, ``C sum_i w_i log(1 + exp(-y_i f_i)) + |beta|^2 / 2`` with
``f = b + X beta``; the intercept is not penalised. The fits centre columns, which does not
change the objective because the intercept is free.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sparse_probing.probes.convergence import TOLERANCE, LinearFit, is_converged, status_of
from sparse_probing.probes.inputs.row_space import RowSpace
from sparse_probing.probes.inputs.scaling import centred_columns, undo_scaling
from sparse_probing.probes.inputs.validation import ClassWeight, Floats, check_ks, check_rows, row_weights
from sparse_probing.probes.l2.newton import Descent, minimise_nested


@dataclass(frozen=True)
class LogisticFit:
    """A logistic probe and how near its objective is to the minimum."""

    coef: Floats
    """(k,)"""
    intercept: float
    objective: float
    decrement: float
    """Half the squared Newton decrement over the objective: the estimated relative distance to the minimum."""
    iterations: int
    status: str

    @property
    def converged(self) -> bool:
        """Whether the decrement is at most 1e-6."""
        return is_converged(self.decrement)


def fit_nested_top_k(
    X_ranked: ArrayLike,
    y: ArrayLike,
    ks: Sequence[int],
    C: float = 1.0,
    class_weight: ClassWeight = "balanced",
    max_iter: int = 1000,
) -> dict[int, LogisticFit]:
    """Fit a probe to the first k columns of ``X_ranked``, for every k.

    Parameters
    ----------
    X_ranked : (n, p) array of any real dtype
        Columns in rank order, best first; p is at least the largest k.
    y : (n,) array of -1 and +1
    ks : sequence of int
        In any order.
    C : float
        Weight of the loss against the ridge.
    class_weight : {"balanced", "none"}
        "balanced" weighs rows by n / (2 n_class).
    max_iter : int
        Preconditioned conjugate gradient steps per k.

    Returns
    -------
    dict of k to LogisticFit
        In ascending order of k. The other values in ``ks`` change a fit by no more than the
        tolerance.

    Raises
    ------
    ProbeError
        If ``X_ranked`` is empty or not finite, if a class is missing, if ``C`` is not positive, or
        if a k is below 1 or above p.
    """
    X_ranked, y = check_rows(X_ranked, y)
    ks = check_ks(ks, X_ranked.shape[1])
    weights = row_weights(y, C, class_weight)
    means, design = _centred_design(X_ranked[:, : ks[-1]], y)
    fits = minimise_nested(design, weights, [k + 1 for k in ks], TOLERANCE, max_iter)
    return {k: _logistic_fit(fits[k + 1], fits[k + 1].end.theta[1:], means[:k]) for k in ks}


def fit_dense(
    X: ArrayLike, y: ArrayLike, C: float = 1.0, class_weight: ClassWeight = "balanced", max_iter: int = 1000
) -> LogisticFit:
    """Fit a probe to all columns of ``X``; arguments and errors as in :func:`fit_nested_top_k`.

    Notes
    -----
    The minimum lies in the space of the rows (representer theorem). With fewer rows than columns
    the fit is therefore one of n coefficients in an orthonormal basis of that space, which costs
    O(n^2 d) once.
    """
    X, y = check_rows(X, y)
    weights = row_weights(y, C, class_weight)
    n, d = X.shape
    if n >= d:
        means, design = _centred_design(X, y)
        fit = minimise_nested(design, weights, [d + 1], TOLERANCE, max_iter)[d + 1]
        return _logistic_fit(fit, fit.end.theta[1:], means)
    # The means are summed over the other axis than in centred_columns: their last bits differ.
    means = X.mean(axis=0, dtype=np.float64)
    space = RowSpace.of((X - means).T)
    fit = minimise_nested(np.vstack([y, space.coordinates * y]), weights, [n + 1], TOLERANCE, max_iter)[n + 1]
    return _logistic_fit(fit, space.lift(fit.end.theta[1:]), means)


def dense_scores(fit: LinearFit, X: ArrayLike) -> Floats:
    """Return the decision values (n, 1) of a probe on its columns (n, k)."""
    return (np.asarray(X) @ fit.coef + fit.intercept)[:, None]


def nested_scores(fits: Mapping[int, LinearFit], X_ranked: ArrayLike) -> Floats:
    """Return the decision values (n, number of fits) of nested probes on ranked columns (n, p)."""
    X_ranked = np.asarray(X_ranked)
    coefficients = np.zeros((max(fits), len(fits)))
    for column, (k, fit) in enumerate(fits.items()):
        coefficients[:k, column] = fit.coef
    return X_ranked[:, : max(fits)] @ coefficients + [fit.intercept for fit in fits.values()]


def _centred_design(X: NDArray, y: Floats) -> tuple[Floats, Floats]:
    """Return the column means (p,) and the design (p + 1, n) of :mod:`sparse_probing.probes.l2.newton`."""
    design = np.empty((X.shape[1] + 1, len(y)))
    design[0] = y
    means, _ = centred_columns(X, out=design[1:])
    design[1:] *= y
    return means, design


def _logistic_fit(fit: Descent, coef: Floats, means: Floats) -> LogisticFit:
    """Return the probe of stored activations from coefficients (k,) of centred columns."""
    coef, intercept = undo_scaling(coef, fit.end.theta[0], means)
    return LogisticFit(
        coef=coef,
        intercept=float(intercept),
        objective=float(fit.end.objective),
        decrement=fit.decrement,
        iterations=fit.steps,
        status=status_of(fit.decrement),
    )
