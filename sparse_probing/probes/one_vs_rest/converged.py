"""One-vs-rest logistic probes of all classes and all values of C at once, to a certified optimum.

The objective of a class is scikit-learn's, ``C sum_i log(1 + exp(-y_i f_i)) + |w|^2 / 2`` with
``f_i = b + w z_i``; rows are not weighted and the intercept is not penalised. ``Z`` (n, d) are the activations
less their means.

All fits of a layer share the inner products of its rows, ``K = Z Z'`` (n, n). With ``w = Z' a`` the scores are
``K a + b``, so a step of all classes and all values of C is one product of K with one column for each of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit

from probing_datasets.foundation.errors import ProbeError
from sparse_probing.probes.convergence import CONVERGED_BELOW
from sparse_probing.probes.inputs.scaling import undo_scaling
from sparse_probing.probes.inputs.validation import Floats, Integers, check_activations, check_C
from sparse_probing.probes.one_vs_rest.newton import RowProducts, best_intercepts, minimise

AIM = 0.3
"""Share of the requested gap at which Newton's method stops, so that the certificate confirms it."""
MAX_NEWTON_STEPS = 60
ROWS_AT_ONCE = 64
"""Rows that the certificate converts to float64 at once."""


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
