"""What a vector of duals proves: a lower bound, and which neurons no better support, or every one, holds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from sparse_probing.probes.inputs.validation import Booleans, Floats, Integers
from sparse_probing.probes.optimal.losses import dual_value
from sparse_probing.probes.optimal.problem import SparseProblem

UNIT_ROUNDOFF = 2.0**-24
"""Of float32."""
EXACT_AT_LEAST = 8
"""Number of correlations, beyond twice k, that are computed again in float64."""
ALL_AT_ONCE = 0.35
"""Share of the neurons above which one product with the whole matrix is faster."""


@dataclass(frozen=True)
class Bound:
    """A lower bound of all supports of the fixed neurons and any k free neurons, from one vector of duals."""

    value: float
    squares: Floats
    """(free,) upper bound of the squared correlation of every free neuron with the duals."""


def correlation_bound(problem: SparseProblem, duals: Floats, fixed: Integers, free: Integers, k: int) -> Bound:
    """Return the bound that balanced duals (n,) give for ``fixed`` and any k of the ``free`` neurons.

    Correlations are computed in float32, and the largest error of any order of summation (Higham, 'Accuracy and
    Stability of Numerical Algorithms', section 3.1) is added. The largest ones, which decide, are computed again
    in float64.
    """
    value = dual_value(problem.code, duals, problem.y, problem.weight)
    value -= problem.ridge / 2 * (exact_correlations(problem.columns, fixed, duals) ** 2).sum()
    if k == 0 or len(free) == 0:
        return Bound(float(value), np.zeros(len(free)))
    correlations = np.abs(rough_correlations(problem, duals, free))
    unit = (problem.n_rows + 2) * UNIT_ROUNDOFF
    largest_error = unit / (1 - unit) * problem.norms[free] * np.sqrt(duals @ duals)
    squares = (correlations + largest_error) ** 2
    n_decisive = min(len(free), 2 * k + EXACT_AT_LEAST)
    decisive = np.argpartition(-correlations, n_decisive - 1)[:n_decisive]
    squares[decisive] = exact_correlations(problem.columns, free[decisive], duals) ** 2 * (1 + 1e-12)
    largest = squares if len(squares) <= k else np.partition(squares, -k)[-k:]
    return Bound(float(value - problem.ridge / 2 * float(largest.sum())), squares)


def rough_correlations(problem: SparseProblem, duals: Floats, neurons: Integers) -> NDArray[np.float32]:
    """Return the correlations (len(neurons),) with duals, in float32."""
    v = duals.astype(np.float32)
    if len(neurons) > ALL_AT_ONCE * problem.width:
        return (problem.columns @ v)[neurons]
    return _dots(problem.columns, neurons, v)


@njit(cache=True, fastmath=True)
def _dots(columns, neurons, v):
    out = np.empty(len(neurons), np.float32)
    for a in range(len(neurons)):
        column = columns[neurons[a]]
        total = np.float32(0.0)
        for i in range(len(v)):
            total += column[i] * v[i]
        out[a] = total
    return out


@njit(cache=True)
def exact_correlations(columns, neurons, duals):
    """Return the correlations (len(neurons),) of float32 columns with duals, in float64."""
    out = np.zeros(len(neurons))
    for a in range(len(neurons)):
        column = columns[neurons[a]]
        total = 0.0
        for i in range(len(duals)):
            total += np.float64(column[i]) * duals[i]
        out[a] = total
    return out


def screen(bound: Bound, ridge: float, k: int, target: float) -> tuple[Booleans, Booleans]:
    """Return the masks (free,) of the neurons that no better support holds, and of those that every one holds.

    A support is better if its objective is below ``target``. If a neuron is forced in, its square replaces the
    k-th largest in the bound; if one of the k largest is forced out, the next one replaces it.
    """
    squares = bound.squares
    if len(squares) <= k:
        return np.zeros(len(squares), bool), np.ones(len(squares), bool)
    order = np.argpartition(-squares, k)
    largest, following = order[:k], squares[order[k]]
    smallest = squares[largest].min()
    out = bound.value + ridge / 2 * (smallest - squares) >= target
    out[largest] = False
    must = np.zeros(len(squares), bool)
    must[largest] = bound.value + ridge / 2 * (squares[largest] - following) >= target
    return out, must
