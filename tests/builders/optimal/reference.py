"""Reference optima of given supports, by other methods than the solver's.

libsvm for the hinge, Newton's method on all supports at once for the logistic loss, and normal equations for
squares. Each optimum is certified by weak duality, which is implemented here independently of the solver.
"""

from __future__ import annotations

import warnings
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import entr, expit
from sklearn import config_context
from sklearn.svm import SVC

from sparse_probing.probes.optimal.problem import SparseProblem
from sparse_probing.probes.optimal.result import OptimalFit
from sparse_probing.probes.optimal.support_fit import Certificate

Floats = NDArray[np.float64]
Support = tuple[int, ...]

CERTIFIED = 1e-7
"""Relative accuracy of a reference."""
LIBSVM_GAP = 1e-3
"""Relative gap that libsvm may leave, because its kernel is in single precision (the largest one seen is 6e-5); the
value of its dual, from which the optimum is taken, is accurate to 1e-9."""
MOST_STEPS = 20_000
"""Number of steps after which rounding errors keep libsvm from any progress."""


def decisions(problem: SparseProblem, support: ArrayLike, coef: Floats, intercept: ArrayLike) -> Floats:
    """Return the decision values (..., n) of one probe or of many."""
    rows = problem.columns[np.asarray(support, dtype=np.int64)].astype(float)
    return np.einsum("...k,...kn->...n", coef, rows) + np.asarray(intercept)[..., None]


def objective(problem: SparseProblem, support: ArrayLike, coef: Floats, intercept: ArrayLike) -> Any:
    """Return the objective of one probe or of many, from its definition."""
    f, y = decisions(problem, support, coef, intercept), problem.y
    losses = {
        "hinge": lambda: np.maximum(0, 1 - y * f),
        "logistic": lambda: np.logaddexp(0, -y * f),
        "squared": lambda: (y - f) ** 2 / 2,
    }
    return losses[problem.loss]() @ problem.weight + (coef**2).sum(axis=-1) / (2 * problem.ridge)


def dual_bound(problem: SparseProblem, duals: Floats, support: ArrayLike) -> Any:
    """Return the bound that duals (..., n) of sum zero give for one support or for many."""
    y, w = problem.y, problem.weight
    share = np.abs(duals) / w
    conjugates = {
        "hinge": lambda: y * duals,
        "logistic": lambda: w * (entr(share) + entr(np.maximum(0, 1 - share))),
        "squared": lambda: duals * y - duals**2 / (2 * w),
    }
    rows = problem.columns[np.asarray(support, dtype=np.int64)].astype(float)
    correlations = np.einsum("...kn,...n->...k", rows, duals)
    return conjugates[problem.loss]().sum(axis=-1) - problem.ridge / 2 * (correlations**2).sum(axis=-1)


def optimum(problem: SparseProblem, support: Support) -> float:
    """Return the least objective of a support."""
    return float(optima(problem, np.array([support], dtype=np.int64).reshape(1, -1))[0])


def brute_force(problem: SparseProblem, k: int) -> dict[Support, float]:
    """Return the least objective of every support of k neurons."""
    supports = list(combinations(range(problem.width), k))
    return dict(zip(supports, optima(problem, np.array(supports)).tolist(), strict=True))


def optima(problem: SparseProblem, supports: NDArray[np.int64]) -> Floats:
    """Return the least objective (m,) of every support (m, k)."""
    if problem.loss == "hinge":
        return np.array([libsvm_value(problem, tuple(support)) for support in supports.tolist()])
    coef, intercept = (_newton if problem.loss == "logistic" else _normal_equations)(problem, supports)
    values, duals = objective(problem, supports, coef, intercept), smooth_duals(problem, supports, coef, intercept)
    certified(problem, supports, duals, values)
    return values


def certified(problem: SparseProblem, support: ArrayLike, duals: Floats, value: Any, gap: float = CERTIFIED) -> Any:
    """Return the bound of the duals; fail if its relative distance from the value is above ``gap``."""
    bound, total = dual_bound(problem, duals, support), problem.weight.sum()
    assert np.all(np.abs(duals.sum(axis=-1)) <= 1e-6 * total)
    assert np.all(value - bound <= gap * np.maximum(value, 1e-7 * total))
    return bound


def libsvm_duals(problem: SparseProblem, support: Support) -> tuple[Floats, Floats]:
    """Return coefficients (k,) and signed duals (n,) of a hinge problem."""
    Z, y = problem.columns[list(support)].T.astype(float), problem.y
    machine = SVC(kernel="linear", C=problem.ridge, tol=1e-9, shrinking=False, max_iter=MOST_STEPS)
    with warnings.catch_warnings(action="ignore"), config_context(assume_finite=True, skip_parameter_validation=True):
        machine.fit(Z, y, sample_weight=problem.weight)
    duals = np.zeros(len(y))
    duals[machine.support_] = machine.dual_coef_[0] / problem.ridge
    return problem.ridge * (duals @ Z), duals


def libsvm_value(problem: SparseProblem, support: Support) -> float:
    """Return the least objective of a hinge problem."""
    coef, duals = libsvm_duals(problem, support)
    kinks = best_kinks(problem, problem.y - decisions(problem, support, coef, 0.0))
    value = objective(problem, np.tile(support, (len(kinks), 1)), np.tile(coef, (len(kinks), 1)), kinks).min()
    return float(certified(problem, support, duals, value, LIBSVM_GAP))


def best_kinks(problem: SparseProblem, kinks: Floats) -> Floats:
    """Return the kinks of the hinge loss around the intercept at which its slope changes sign."""
    order = np.argsort(kinks)
    slope = -problem.weight[problem.y > 0].sum() + np.cumsum(problem.weight[order])
    first = int(np.searchsorted(slope, 0))
    return kinks[order[max(0, first - 1) : first + 2]]


def smooth_duals(problem: SparseProblem, support: ArrayLike, coef: Floats, intercept: ArrayLike) -> Floats:
    """Return the duals (..., n) of a differentiable loss at one probe or at many."""
    f, y = decisions(problem, support, coef, intercept), problem.y
    return problem.weight * (y - f if problem.loss == "squared" else y * expit(-y * f))


def duals_of(problem: SparseProblem, certificate: Certificate) -> Floats:
    """Return the balanced duals (n,) that a certificate describes."""
    f = decisions(problem, certificate.columns, certificate.coef, certificate.intercept)
    y, w = problem.y, problem.weight
    if problem.loss == "squared":
        v = w * (y - f)
        return v - w * v.sum() / w.sum()
    share = np.clip((1 - y * f) / certificate.delta, 0, 1) if problem.loss == "hinge" else 1 / (1 + np.exp(y * f))
    v = y * w * share
    positive, negative = v[v > 0].sum(), -v[v < 0].sum()
    least = min(positive, negative)
    return np.where(v > 0, v * least / max(positive, 1e-300), v * least / max(negative, 1e-300))


def not_ruled_out(problem: SparseProblem, supports: NDArray[np.int64], value: float) -> NDArray[np.int64]:
    """Return the supports (m, k) that no part of k - 1 neurons, by its duals from libsvm, shows to be above a value.

    By weak duality, the duals of a support also bound the supports that hold one neuron more.
    """
    ridge, X = problem.ridge, problem.columns.astype(float)
    bounds = np.full(len(supports), -np.inf)
    for without in range(supports.shape[1]):
        parts, which = np.unique(np.delete(supports, without, axis=1), axis=0, return_inverse=True)
        duals = [libsvm_duals(problem, tuple(part))[1] for part in parts.tolist()]
        pairs = zip(duals, parts.tolist(), strict=True)
        parent_bounds = np.array([dual_bound(problem, v, tuple(part)) for v, part in pairs])
        squares = (X @ np.array(duals).T) ** 2
        new = parent_bounds[which.ravel()] - ridge / 2 * squares[supports[:, without], which.ravel()]
        bounds = np.maximum(bounds, new)
    return supports[bounds < value]


def _normal_equations(problem: SparseProblem, supports: NDArray[np.int64]) -> tuple[Floats, Floats]:
    w = problem.weight / problem.weight.sum()
    X = problem.columns.astype(float)
    means, mean = X @ w, problem.y @ w
    X = (X - means[:, None]) * np.sqrt(problem.weight)
    gram, target = X @ X.T, X @ (np.sqrt(problem.weight) * (problem.y - mean))
    A = gram[supports[:, :, None], supports[:, None, :]] + np.eye(supports.shape[1]) / problem.ridge
    coef = np.linalg.solve(A, target[supports][:, :, None])[:, :, 0]
    return coef, mean - (coef * means[supports]).sum(axis=1)


def _newton(problem: SparseProblem, supports: NDArray[np.int64]) -> tuple[Floats, Floats]:
    Z = problem.columns[supports].transpose(0, 2, 1).astype(float)  # (m, n, k)
    Z = np.concatenate([Z, np.ones((*Z.shape[:2], 1))], axis=2)
    y, w, k = problem.y, problem.weight, supports.shape[1]
    ridge = np.append(np.full(k, 1 / problem.ridge), 0.0)
    x = np.zeros((len(supports), k + 1))

    def values(x: Floats) -> Floats:
        return np.logaddexp(0, -y * np.einsum("mnk,mk->mn", Z, x)) @ w + (ridge * x**2).sum(axis=1) / 2

    for _ in range(60):
        p = expit(-y * np.einsum("mnk,mk->mn", Z, x))
        gradient = ridge * x - np.einsum("mnk,mn->mk", Z, w * y * p)
        H = np.einsum("mnk,mn,mnl->mkl", Z, w * p * (1 - p), Z, optimize=True) + np.diag(ridge + 1e-13)
        step = -np.linalg.solve(H, gradient[:, :, None])[:, :, 0]
        length, before = np.ones(len(x)), values(x)
        for _halving in range(40):
            worse = values(x + length[:, None] * step) > before
            length[worse] /= 2
            if not worse.any():
                break
        x += np.where(worse, 0, length)[:, None] * step
        if (-(step * gradient).sum(axis=1) <= 1e-14 * before).all():
            break
    return x[:, :k], x[:, k]


def assert_optimal(problem: SparseProblem, fit: OptimalFit, values: dict[Support, float], gap: float) -> None:
    """Check a fit against the optima of all supports, in both directions."""
    best = min(values.values())
    assert_honest(problem, fit, values)
    assert fit.status == "proved"
    assert fit.objective <= best * (1 + gap) + 1e-12
    assert fit.gap <= gap * (1 + 1e-5)
    assert fit.support in [s for s, value in values.items() if value <= best * (1 + 1.1 * gap) + 1e-12]


def assert_honest(problem: SparseProblem, fit: OptimalFit, values: dict[Support, float]) -> None:
    """Check what holds for every fit, proved or not: a valid support, its objective, and a bound below the best."""
    best = min(values.values())
    assert fit.support in values
    assert len(fit.coef) == len(fit.support)
    assert abs(fit.objective - objective(problem, fit.support, fit.coef, fit.intercept)) <= 1e-10 * fit.objective
    assert abs(fit.objective - values[fit.support]) <= 2 * CERTIFIED * values[fit.support] + 1e-12
    assert fit.objective >= best * (1 - 2 * CERTIFIED)
    assert fit.lower_bound <= min(best * (1 + 2 * CERTIFIED), fit.objective)
