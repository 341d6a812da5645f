"""Proximal Newton steps on working sets for losses with an L1 (and perhaps an L2) penalty.

``loss(b + beta Z) + l1 |beta|_1 + l2 |beta|^2 / 2`` with a free intercept. Each step reads all
columns once: for the duality gap, and for the columns outside the support that violate
optimality most. These columns and the support are the working set. The step minimises the
quadratic model of the objective on it exactly, and a line search makes every step a descent.

References
----------
Lee, Sun and Saunders, Proximal Newton-type methods for minimizing composite functions
(SIAM J. Optim. 2014). Massias, Vaiter, Gramfort and Salmon, Dual extrapolation for sparse
generalized linear models (JMLR 2020), for working sets and the gap.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sparse_probing.probes.inputs.scaling import ScaledColumns
from sparse_probing.probes.inputs.validation import Floats, Integers
from sparse_probing.probes.l1.lasso_quadratic import minimise_lasso_quadratic
from sparse_probing.probes.l1.losses import Loss

FEWEST_ENTERING = 10
"""Columns that join the support in a working set; as many as the support has, if more than this violate optimality."""
LOADING = 1e-8
"""Relative increase of the diagonal of the model, so that duplicated columns keep it positive definite."""


@dataclass(frozen=True)
class Penalty:
    """``l1 |beta|_1 + l2 |beta|^2 / 2``."""

    l1: float
    """Positive."""
    l2: float

    def value(self, coef: Floats) -> float:
        """Return the penalty of coefficients."""
        return float(self.l1 * np.abs(coef).sum() + self.l2 * coef @ coef / 2)


@dataclass(frozen=True)
class SparsePoint:
    """A point, without its zero coefficients."""

    support: Integers
    """(k,) columns."""
    coef: Floats
    """(k,)"""
    intercept: float
    objective: float
    gap: float
    """Relative duality gap: no point has an objective below ``objective * (1 - gap)``."""
    steps: int


@dataclass(frozen=True)
class _State:
    columns: Integers
    """(p,) the support and, after a step, columns that stayed at zero."""
    coef: Floats
    intercept: float
    scores: Floats
    objective: float


def null_point(loss: Loss) -> SparsePoint:
    """Return the best point without columns; its gap is unknown."""
    intercept = loss.null_intercept()
    objective = loss.value(np.full(len(loss.y), intercept))
    return SparsePoint(np.empty(0, np.int64), np.empty(0), intercept, objective, np.inf, 0)


def null_correlation(columns: ScaledColumns, loss: Loss) -> float:
    """Return the smallest l1 at which all coefficients are zero."""
    residual, _ = loss.derivatives(np.full(len(loss.y), loss.null_intercept()))
    return float(np.abs(columns.correlate(loss.feasible(residual))).max())


def minimise(
    columns: ScaledColumns, loss: Loss, penalty: Penalty, start: SparsePoint, tolerance: float, max_steps: int
) -> SparsePoint:
    """Minimise from ``start`` until the relative duality gap is at most ``tolerance``.

    Parameters
    ----------
    columns : ScaledColumns
        Z, (n, d).
    loss : LogisticLoss or SquaredLoss
    penalty : Penalty
    start : SparsePoint
        Only its support, coefficients and intercept are used.
    tolerance : float
        Relative to the objective.
    max_steps : int
        Newton steps.

    Returns
    -------
    SparsePoint
        Its gap is above ``tolerance`` where ``max_steps`` or rounding stopped the descent.
    """
    scores = start.intercept + start.coef @ columns.take(start.support)
    objective = loss.value(scores) + penalty.value(start.coef)
    now = _State(start.support, start.coef, start.intercept, scores, objective)
    last_objective, last_gap = np.inf, np.inf
    for steps in range(max_steps + 1):
        # A dual point that sums to zero bounds every objective from below.
        dual = loss.feasible(loss.derivatives(now.scores)[0])
        magnitude = np.abs(columns.correlate(dual))
        gap = 1 - _dual_bound(loss, penalty, dual, magnitude) / now.objective
        in_support = now.coef != 0
        support, coef = now.columns[in_support], now.coef[in_support]
        stalled = now.objective >= last_objective and gap >= last_gap
        if gap <= tolerance or steps == max_steps or stalled:
            break
        last_objective, last_gap = now.objective, gap
        # The working set: the support and the columns outside it that violate optimality most.
        outside = magnitude.copy()
        outside[support] = -1
        n_entering = max(FEWEST_ENTERING, min(len(support), np.count_nonzero(outside > penalty.l1)))
        entering = np.argsort(-outside)[: min(n_entering, len(outside) - len(support))]
        working_columns, working_coef = np.append(support, entering), np.append(coef, np.zeros(len(entering)))
        now = _newton_step(
            _State(working_columns, working_coef, now.intercept, now.scores, now.objective), columns, loss, penalty
        )
    order = np.argsort(support)
    return SparsePoint(support[order], coef[order], now.intercept, now.objective, float(max(gap, 0)), steps)


def _dual_bound(loss: Loss, penalty: Penalty, dual: Floats, magnitude: Floats) -> float:
    """Return a lower bound of the objective from a dual point that sums to zero.

    ``magnitude`` (d,) are the absolute correlations of the columns with the dual point.
    """
    bound = loss.dual_value(dual * (penalty.l1 / max(penalty.l1, magnitude.max())))
    if penalty.l2 > 0:
        excess = np.maximum(magnitude - penalty.l1, 0)
        bound = max(bound, loss.dual_value(dual) - float(excess @ excess) / 2 / penalty.l2)
    return bound


def _newton_step(now: _State, columns: ScaledColumns, loss: Loss, penalty: Penalty) -> _State:
    """Take a proximal Newton step on the working set of a state; the intercept follows exactly."""
    # The quadratic model of the loss by the coefficients, where the intercept is always at its best.
    Z = columns.take(now.columns)
    residual, curvature = loss.derivatives(now.scores)
    total, cross, pull = max(curvature.sum(), np.finfo(float).tiny), Z @ curvature, residual.sum()
    gradient = cross * (pull / total) - Z @ residual + penalty.l2 * now.coef
    scaled = Z * np.sqrt(curvature)
    hessian = scaled @ scaled.T - cross[:, None] * (cross / total)
    diagonal = np.einsum("ii->i", hessian)
    diagonal *= 1 + LOADING
    diagonal += penalty.l2 + np.finfo(float).tiny
    # Its minimum with the L1 penalty, and the slope of the objective in that direction.
    target = minimise_lasso_quadratic(hessian, hessian @ now.coef - gradient, penalty.l1, now.coef)
    step = target - now.coef
    intercept_step = (pull - cross @ step) / total
    score_step = intercept_step + step @ Z
    slope = gradient @ step - pull**2 / total + penalty.l1 * (np.abs(target).sum() - np.abs(now.coef).sum())
    # Halve the step until the objective falls by a share of what its slope promises (Armijo). Near the
    # minimum the gap still shrinks where the objective falls by less than its rounding.
    length, rounding = 1.0, 1e-14 * now.objective
    while length > 1e-12:
        coef = target if length == 1 else now.coef + length * (target - now.coef)
        scores = now.scores + length * score_step
        objective = loss.value(scores) + penalty.value(coef)
        if objective <= now.objective + 1e-4 * length * slope + rounding:
            return _State(now.columns, coef, now.intercept + length * intercept_step, scores, objective)
        length /= 2
    return now
