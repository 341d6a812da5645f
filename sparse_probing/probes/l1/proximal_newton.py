"""Proximal Newton steps on working sets for losses with an L1 (and perhaps an L2) penalty.

``loss(b + beta Z) + l1 |beta|_1 + l2 |beta|^2 / 2`` with a free intercept. Each step reads all
columns once: for the duality gap, and for the columns outside the support that violate
optimality most. The quadratic model of the objective on the support and these columns is then
minimised exactly, and a line search keeps every step a descent.

References
----------
Lee, Sun and Saunders, Proximal Newton-type methods for minimizing composite functions
(SIAM J. Optim. 2014). Massias, Vaiter, Gramfort and Salmon, Dual extrapolation for sparse
generalized linear models (JMLR 2020), for working sets and the gap.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from sparse_probing.probes.l1.lasso_quadratic import minimise_lasso_quadratic
from sparse_probing.probes.l1.losses import Loss
from sparse_probing.probes.scaling import Columns
from sparse_probing.probes.validation import Floats, Integers

FEWEST_ENTERING = 10
"""Columns that join the support in a working set; as many as the support has, if more violate optimality."""
LOADING = 1e-8
"""By which the diagonal of the model grows, relatively, so that duplicated columns stay definite."""


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
    """A point, with its zeros left out."""

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
    coef: Floats
    intercept: float
    scores: Floats
    objective: float


def null_point(loss: Loss) -> SparsePoint:
    """Return the best point without columns; its gap is not known."""
    intercept = loss.null_intercept()
    objective = loss.value(np.full(len(loss.y), intercept))
    return SparsePoint(np.empty(0, np.int64), np.empty(0), intercept, objective, np.inf, 0)


def null_correlation(columns: Columns, loss: Loss) -> float:
    """Return the smallest l1 at which all coefficients are zero."""
    residual, _ = loss.derivatives(np.full(len(loss.y), loss.null_intercept()))
    return float(np.abs(columns.correlate(loss.feasible(residual))).max())


def minimise(
    columns: Columns, loss: Loss, penalty: Penalty, start: SparsePoint, tolerance: float, max_steps: int
) -> SparsePoint:
    """Minimise from ``start`` until the relative duality gap is at most ``tolerance``.

    Parameters
    ----------
    columns : Columns
        Z, (n, d).
    loss : LogisticLoss or SquaredLoss
    penalty : Penalty
    start : SparsePoint
        Only its support, coefficients and intercept count.
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
    now, previous = _State(start.support, start.coef, start.intercept, scores, objective), (np.inf, np.inf)
    for steps in range(max_steps + 1):
        dual = loss.feasible(loss.derivatives(now.scores)[0])
        correlation = columns.correlate(dual)
        gap = 1 - _dual_bound(loss, penalty, dual, correlation) / now.objective
        stuck = now.objective >= previous[0] and gap >= previous[1]
        if gap <= tolerance or steps == max_steps or stuck:
            break
        previous, working = (now.objective, gap), _with_entering(now, np.abs(correlation), penalty.l1)
        now = _step(working, columns, loss, penalty)
    in_support = now.coef != 0
    order = np.argsort(now.columns[in_support])
    support, coef = now.columns[in_support][order], now.coef[in_support][order]
    return SparsePoint(support, coef, now.intercept, now.objective, float(max(gap, 0)), steps)


def _dual_bound(loss: Loss, penalty: Penalty, dual: Floats, correlation: Floats) -> float:
    """Return a value that no objective can be below, from a dual point that sums to zero."""
    magnitude = np.abs(correlation)
    bound = loss.dual_value(dual * (penalty.l1 / max(penalty.l1, magnitude.max())))
    if penalty.l2 > 0:
        excess = np.maximum(magnitude - penalty.l1, 0)
        bound = max(bound, loss.dual_value(dual) - float(excess @ excess) / 2 / penalty.l2)
    return bound


def _with_entering(now: _State, magnitude: Floats, l1: float) -> _State:
    """Return the state on its support and the columns that violate optimality most."""
    in_support = now.coef != 0
    support, coef = now.columns[in_support], now.coef[in_support]
    outside = magnitude.copy()
    outside[support] = -1
    n_entering = max(FEWEST_ENTERING, min(len(support), np.count_nonzero(outside > l1)))
    entering = np.argsort(-outside)[: min(n_entering, len(outside) - len(support))]
    return replace(now, columns=np.append(support, entering), coef=np.append(coef, np.zeros(len(entering))))


def _step(now: _State, columns: Columns, loss: Loss, penalty: Penalty) -> _State:
    """Take a proximal Newton step on the columns of a state; the intercept follows exactly."""
    Z = columns.take(now.columns)
    residual, curvature = loss.derivatives(now.scores)
    total, cross, pull = max(curvature.sum(), np.finfo(float).tiny), Z @ curvature, residual.sum()
    gradient = cross * (pull / total) - Z @ residual + penalty.l2 * now.coef
    model = _profiled_hessian(Z, curvature, cross, total, penalty.l2)
    target = minimise_lasso_quadratic(model, model @ now.coef - gradient, penalty.l1, now.coef)
    step = target - now.coef
    intercept_step = (pull - cross @ step) / total
    slope = gradient @ step - pull**2 / total + penalty.l1 * (np.abs(target).sum() - np.abs(now.coef).sum())
    return _line_search(now, target, intercept_step, intercept_step + step @ Z, slope, loss, penalty)


def _profiled_hessian(Z: Floats, curvature: Floats, cross: Floats, total: float, l2: float) -> Floats:
    """Return the Hessian (p, p) by the coefficients where the intercept is always at its best."""
    scaled = Z * np.sqrt(curvature)
    hessian = scaled @ scaled.T - np.outer(cross, cross / total)
    diagonal = np.einsum("ii->i", hessian)
    diagonal *= 1 + LOADING
    diagonal += l2 + np.finfo(float).tiny
    return hessian


def _line_search(
    now: _State, target: Floats, intercept_step: float, score_step: Floats, slope: float, loss: Loss, penalty: Penalty
) -> _State:
    """Halve the step until the objective falls by a share of what its slope promises; otherwise return ``now``."""
    # Near the minimum the gap still halves where the objective falls by less than its rounding.
    length, rounding = 1.0, 1e-14 * now.objective
    while length > 1e-12:
        coef = target if length == 1 else now.coef + length * (target - now.coef)
        scores = now.scores + length * score_step
        objective = loss.value(scores) + penalty.value(coef)
        if objective <= now.objective + 1e-4 * length * slope + rounding:
            return _State(now.columns, coef, now.intercept + length * intercept_step, scores, objective)
        length /= 2
    return now
