"""The intercept of an optimal probe: which one is reported where several are equally good.

The hinge objective is convex and piecewise linear in the intercept b, with a breakpoint ``y_i - x_i u`` for every row.
Its slope changes by the weight of the row there. Where the slope is zero between two breakpoints, every b between
them is equally good. This is the rule and not the exception under a strong ridge: while no row has a margin of 1, the
slope is the weight of the negative rows less that of the positive rows, which is zero for balanced weights. The
objective then says nothing about the threshold, but the scores on other rows depend on it.
"""

from __future__ import annotations

import numpy as np

from sparse_probing.probes.inputs.validation import Floats
from sparse_probing.probes.optimal.problem import SparseProblem
from sparse_probing.probes.optimal.support_fit import SupportFit, objective_of

FLAT = 1e-12
"""A slope counts as zero up to this share of the sum of the weights: the rounding of a sum of weights."""
LARGEST_CHANGE = 1e-11
"""Relative difference up to which two objectives count as equal."""


def with_balanced_intercept(problem: SparseProblem, fit: SupportFit) -> SupportFit:
    """Return the fit with the intercept that its objective and then the training rows choose.

    1. The equally good intercepts are computed exactly for the coefficients of the fit (hinge; the other losses have
       one best intercept, and their fit is returned as it is).
    2. Among them, the least weighted 0/1 error on the training rows is chosen. The weights are those of the
       objective: balanced, so that both classes count the same.
    3. Several intercepts have this error, too. They form intervals between neighbouring decision values; the result
       is the middle of the widest, of equal ones the lowest.

    Coefficients, support and lower bound do not change. The objective is that of the new intercept. It is at most
    that of the fit, except for :data:`LARGEST_CHANGE`: step 1 keeps to the minimum over b, where the fit, which
    smooths the hinge, is only near it.

    Parameters
    ----------
    problem : SparseProblem
    fit : SupportFit
    """
    if problem.loss != "hinge":
        return fit
    scores = fit.coef @ problem.columns[fit.support].astype(np.float64)
    low, high = equally_good_intercepts(problem, scores)
    intercept = least_error_intercept(problem, scores, low, high)
    objective = objective_of(problem, fit.support, fit.coef, intercept)
    if objective > fit.objective * (1 + LARGEST_CHANGE):  # rounding, of the sum of weights that FLAT allows
        return fit
    return SupportFit(fit.support, fit.coef, intercept, objective, fit.bound, fit.certificate, (low, high))


def equally_good_intercepts(problem: SparseProblem, scores: Floats) -> tuple[float, float]:
    """Return the ends of the interval of the intercepts with the least hinge objective.

    Parameters
    ----------
    problem : SparseProblem
        With rows of both classes.
    scores : (n,) array
        Decision values without the intercept.
    """
    y, weight = problem.y, problem.weight
    order = np.argsort(y - scores, kind="stable")
    breakpoints = (y - scores)[order]
    # Slope to the right of every breakpoint: a positive row ends to cost there, a negative row begins to.
    slope = np.cumsum(weight[order]) - weight[y > 0].sum()
    flat = FLAT * weight.sum()
    last = int(np.argmax(slope > flat)) if slope[-1] > flat else len(slope) - 1
    first = int(np.argmax(slope >= -flat))
    return float(breakpoints[first]), float(breakpoints[last])


def least_error_intercept(problem: SparseProblem, scores: Floats, low: float, high: float) -> float:
    """Return the intercept between ``low`` and ``high`` with the least weighted 0/1 error on the rows.

    Parameters
    ----------
    problem : SparseProblem
    scores : (n,) array
        Decision values without the intercept; a row is predicted positive if ``scores + intercept > 0``.
    low, high : float
        Ends of the interval.
    """
    # A row changes its prediction at b = -score. Between two such cuts the error is constant.
    cuts = np.unique(-scores)
    inner = cuts[(cuts > low) & (cuts < high)]
    ends = np.concatenate([[low], inner, [high]])
    middles, widths = (ends[:-1] + ends[1:]) / 2, np.diff(ends)
    order = np.argsort(-scores, kind="stable")
    signed = np.where(problem.y > 0, -problem.weight, problem.weight)[order]
    # With b below all cuts every row is predicted negative; every cut below b changes one row.
    error = np.concatenate([[0.0], np.cumsum(signed)])[np.searchsorted(-scores[order], middles)]
    best = np.flatnonzero(error <= error.min() + FLAT * problem.weight.sum())
    widest = widths[best].max()
    return float(middles[best[widths[best] >= widest * (1 - 1e-9)][0]])
