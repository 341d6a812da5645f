"""Equal neurons in an L1 probe, where the penalty does not say how they share a coefficient."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from sparse_probing.probes.inputs.scaling import ScaledColumns
from sparse_probing.probes.inputs.validation import Integers
from sparse_probing.probes.l1.proximal_newton import SparsePoint

ROUNDING = 1e-9
"""Share of the largest value of a column up to which another one is equal to it."""


def on_lowest_neurons(columns: ScaledColumns, point: SparsePoint, l1: float) -> SparsePoint:
    """Return the same linear function on the fewest and lowest of equal neurons.

    The scaled columns of copies of a neuron, or of its opposite or a multiple, are equal or opposite. Any division of a
    coefficient among them has the same loss and, without an L2 penalty, the same objective. The lowest gets all of it,
    so that a neuron and its copies count as one.

    Parameters
    ----------
    columns : ScaledColumns
    point : SparsePoint
        A minimum with an L1 penalty only.
    l1 : float
        Weight of the penalty.
    """
    coef_of: dict[int, float] = {}
    for neuron, coef in zip(point.support.tolist(), point.coef.tolist(), strict=True):
        lowest, sign = _lowest_equal(columns, neuron)
        coef_of[lowest] = coef_of.get(lowest, 0.0) + sign * coef
    support = np.array(sorted(j for j, coef in coef_of.items() if coef != 0), np.int64)
    coef = np.array([coef_of[j] for j in support.tolist()])
    saved = l1 * float(np.abs(point.coef).sum() - np.abs(coef).sum())
    return replace(point, support=support, coef=coef, objective=point.objective - max(saved, 0.0))


def _lowest_equal(columns: ScaledColumns, neuron: int) -> tuple[int, int]:
    """Return the lowest neuron whose column is equal or opposite to that of ``neuron``, and 1 or -1."""
    own = columns.take(np.array([neuron]))[0]
    pivot = int(np.argmax(np.abs(own)))  # a single row rules nearly all other neurons out
    allowed = ROUNDING * abs(own[pivot])
    row = (columns.stored[pivot, : neuron + 1] - columns.mean[: neuron + 1]) / columns.scale[: neuron + 1]
    like: Integers = np.flatnonzero(np.abs(np.abs(row) - abs(own[pivot])) <= allowed)
    for other in like.tolist():
        column = columns.take(np.array([other]))[0]
        for sign in (1, -1):
            if np.abs(column - sign * own).max() <= allowed:
                return other, sign
    return neuron, 1
