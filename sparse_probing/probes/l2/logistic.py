"""L2-regularised logistic probes: nested top-k supports, all neurons.

The objective is scikit-learn's, ``C sum_i w_i log(1 + exp(-y_i f_i)) + |beta|^2 / 2`` with
``f = b + X beta``; the intercept is not penalised. Columns are centred inside, which leaves
the objective as it is because the intercept is free.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import qr

from probing_datasets.foundation.errors import ProbeError
from sparse_probing.probes.convergence import CONVERGED, CONVERGED_BELOW, NOT_CONVERGED, TOLERANCE, LinearFit
from sparse_probing.probes.l2.newton import Descent, minimise_nested
from sparse_probing.probes.validation import ClassWeight, Floats, check_rows, row_weights


@dataclass(frozen=True)
class LogisticFit:
    """A logistic probe and how well it was fitted."""

    coef: Floats
    """(k,)"""
    intercept: float
    objective: float
    decrement: float
    """Half the squared Newton decrement over the objective: how far it is, relatively, above its minimum."""
    iterations: int
    status: str

    @property
    def converged(self) -> bool:
        """Whether the decrement is below 1e-6."""
        return self.decrement < CONVERGED_BELOW


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
        In ascending order of k. Every fit stands alone: which other ks are asked for moves
        it by no more than the tolerance.

    Raises
    ------
    ProbeError
        If ``X_ranked`` is empty or not finite, if a class is missing, if ``C`` is not positive, or
        if a k is below 1 or above p.
    """
    X_ranked, y = check_rows(X_ranked, y)
    ks, p = sorted({int(k) for k in ks}), X_ranked.shape[1]
    if not ks or ks[0] < 1 or ks[-1] > p:
        raise ProbeError(f"Cannot fit k in {ks} to {p} ranked neurons. Choose every k between 1 and {p}.")
    weights = row_weights(y, C, class_weight)
    means, design = _centred_design(X_ranked[:, : ks[-1]], y)
    fits = minimise_nested(design, weights, [k + 1 for k in ks], TOLERANCE, max_iter)
    return {k: _result(fits[k + 1], fits[k + 1].end.theta[1:], means[:k]) for k in ks}


def fit_dense(
    X: ArrayLike, y: ArrayLike, C: float = 1.0, class_weight: ClassWeight = "balanced", max_iter: int = 1000
) -> LogisticFit:
    """Fit a probe to all columns of ``X``; arguments and errors as in :func:`fit_nested_top_k`.

    Notes
    -----
    With fewer rows than columns the fit is exact in the space of the rows, which holds the
    minimum (representer theorem): an orthonormal basis of it costs O(n^2 d) once, and the
    fit is then one of n coefficients.
    """
    X, y = check_rows(X, y)
    weights = row_weights(y, C, class_weight)
    n, d = X.shape
    if n >= d:
        means, design = _centred_design(X, y)
        fit = minimise_nested(design, weights, [d + 1], TOLERANCE, max_iter)[d + 1]
        return _result(fit, fit.end.theta[1:], means)
    means = X.mean(axis=0, dtype=np.float64)
    basis, triangle = qr((X - means).T, mode="economic", overwrite_a=True, check_finite=False)
    fit = minimise_nested(np.vstack([y, triangle * y]), weights, [n + 1], TOLERANCE, max_iter)[n + 1]
    return _result(fit, basis @ fit.end.theta[1:], means)


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
    design[0], design[1:] = 1, X.T
    means = design[1:].mean(axis=1)
    design[1:] -= means[:, None]
    design *= y
    return means, design


def _result(fit: Descent, coef: Floats, means: Floats) -> LogisticFit:
    return LogisticFit(
        coef=coef,
        intercept=float(fit.end.theta[0] - coef @ means),
        objective=float(fit.end.objective),
        decrement=fit.decrement,
        iterations=fit.steps,
        status=CONVERGED if fit.decrement < CONVERGED_BELOW else NOT_CONVERGED,
    )
