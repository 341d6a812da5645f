"""What a vector of duals proves: a lower bound, and which neurons cannot or must be in a better support."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from sparse_probing.probes.optimal.losses import dual_value
from sparse_probing.probes.optimal.problem import SparseProblem
from sparse_probing.probes.validation import Booleans, Floats, Integers

UNIT_ROUNDOFF = 2.0**-24
"""Of float32."""
EXACT_AT_LEAST = 8
"""Correlations beyond the k largest that are computed again in float64."""
ALL_AT_ONCE = 0.35
"""Share of the neurons from which one product with the whole matrix is faster."""


@dataclass(frozen=True)
class Bound:
    """A lower bound of ``fixed + any k of the free neurons``, by one vector of duals."""

    value: float
    squares: Floats
    """(free,) squared correlation of every free neuron with the duals, or a little more."""


def correlation_bound(problem: SparseProblem, duals: Floats, fixed: Integers, free: Integers, k: int) -> Bound:
    """Return the bound of balanced duals (n,).

    Correlations are computed in float32, with the error that any order of summation can make (Higham,
    'Accuracy and Stability of Numerical Algorithms', section 3.1) added; the largest, which decide,
    once more in float64.
    """
    value = dual_value(problem.code, duals, problem.y, problem.weight)
    value -= problem.ridge / 2 * (exact_correlations(problem.columns, fixed, duals) ** 2).sum()
    if k == 0 or len(free) == 0:
        return Bound(float(value), np.zeros(len(free)))
    correlations = np.abs(rough_correlations(problem, duals, free))
    squares = (correlations + _largest_error(problem, duals, free)) ** 2
    most = min(len(free), 2 * k + EXACT_AT_LEAST)
    decisive = np.argpartition(-correlations, most - 1)[:most]
    squares[decisive] = exact_correlations(problem.columns, free[decisive], duals) ** 2 * (1 + 1e-12)
    return Bound(float(value - problem.ridge / 2 * _sum_of_largest(squares, k)), squares)


def rough_correlations(problem: SparseProblem, duals: Floats, neurons: Integers) -> NDArray[np.float32]:
    """Return the correlations (len(neurons),) with duals, in float32."""
    v = duals.astype(np.float32)
    if len(neurons) > ALL_AT_ONCE * problem.width:
        return (problem.columns @ v)[neurons]
    return _dots(problem.columns, neurons, v)


def _largest_error(problem: SparseProblem, duals: Floats, neurons: Integers) -> Floats:
    m = (problem.n_rows + 2) * UNIT_ROUNDOFF
    return m / (1 - m) * problem.norms[neurons] * np.sqrt(duals @ duals)


def _sum_of_largest(values: Floats, k: int) -> float:
    if len(values) <= k:
        return float(values.sum())
    return float(np.partition(values, -k)[-k:].sum())


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


def screen(bound: Bound, ridge: float, k: int, target: float) -> tuple[Booleans, Booleans]:
    """Return which free neurons can be in no better support, and which must be in every one.

    A support is better when its objective lies below ``target``. Forcing a neuron in puts its square in
    the place of the k-th largest; forcing one of the k largest out puts the next one in its place.
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
