"""Losses of optimal sparse probes, point by point, with the duals that bound them from below.

A loss ``l(y, f)`` of a row with weight ``w`` is given by its value, by the *dual* ``v = -w dl/df`` and by its
curvature. Any vector ``v`` in the domain of the conjugate whose sum is zero bounds the objective of every
support S (Fenchel duality)::

    min_{u, b} sum_i w_i l(y_i, x_i u + b) + |u|^2 / (2 g)
        >= sum_i dual_value(v_i) - g / 2 * sum_{j in S} (x_j . v)^2
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numba import njit
from numpy.typing import NDArray

from sparse_probing.probes.validation import Floats

LossName = Literal["hinge", "logistic", "squared"]

HINGE, LOGISTIC, SQUARED = 0, 1, 2
CODES: dict[LossName, int] = {"hinge": HINGE, "logistic": LOGISTIC, "squared": SQUARED}


@njit(cache=True)
def point(loss: int, f: float, y: float, w: float, delta: float) -> tuple[float, float, float]:
    """Return value, dual and curvature of one row; the hinge is smoothed over a width ``delta`` (0: not at all)."""
    if loss == HINGE:
        r = 1.0 - y * f
        if r <= 0.0:
            return 0.0, 0.0, 0.0
        if r >= delta:
            return w * (r - 0.5 * delta), w * y, 0.0
        return 0.5 * w * r * r / delta, w * y * r / delta, w / delta
    if loss == LOGISTIC:
        z = y * f
        e = np.exp(-abs(z))
        p = e / (1.0 + e) if z > 0.0 else 1.0 / (1.0 + e)
        return w * (np.log1p(e) + max(-z, 0.0)), w * p * y, w * p * (1.0 - p)
    r = y - f
    return 0.5 * w * r * r, w * r, w


@njit(cache=True)
def dual_point(loss: int, v: float, y: float, w: float) -> float:
    """Return what the dual of one row adds to the bound."""
    if loss == HINGE:
        return y * v
    if loss == LOGISTIC:
        t = abs(v) / w
        if t <= 0.0 or t >= 1.0:
            return 0.0
        return -w * (t * np.log(t) + (1.0 - t) * np.log1p(-t))
    return v * y - 0.5 * v * v / w


@njit(cache=True)
def all_points(loss: int, f: Floats, y: Floats, w: Floats, delta: float, v: Floats, h: Floats) -> float:
    """Fill duals ``v`` and curvatures ``h``, both (n,); return the sum of the (smoothed) losses."""
    total = 0.0
    for i in range(len(f)):
        value, v[i], h[i] = point(loss, f[i], y[i], w[i], delta)
        total += value
    return total


@njit(cache=True)
def total_loss(loss: int, f: Floats, y: Floats, w: Floats) -> float:
    """Return the sum of the losses, not smoothed."""
    total = 0.0
    for i in range(len(f)):
        total += point(loss, f[i], y[i], w[i], 0.0)[0]
    return total


@njit(cache=True)
def balance(loss: int, v: Floats, w: Floats) -> tuple[float, float, float]:
    """Return how duals become a vector whose sum is zero, by shrinking alone where they are bounded.

    Returns
    -------
    tuple of three floats
        ``(up, down, shift)``: positive duals are multiplied by ``up``, negative ones by ``down``, and then
        ``shift * w`` is taken from all.
    """
    positive, negative, total = 0.0, 0.0, 0.0
    for i in range(len(v)):
        if v[i] > 0.0:
            positive += v[i]
        else:
            negative -= v[i]
        total += w[i]
    if loss == SQUARED:
        return 1.0, 1.0, (positive - negative) / total
    if positive > negative:
        return negative / positive, 1.0, 0.0
    return 1.0, (positive / negative if negative > 0.0 else 1.0), 0.0


@njit(cache=True)
def balanced(loss: int, v: Floats, w: Floats) -> NDArray:
    """Return the duals (n,) made to sum to zero."""
    up, down, shift = balance(loss, v, w)
    out = np.empty_like(v)
    for i in range(len(v)):
        out[i] = v[i] * (up if v[i] > 0.0 else down) - shift * w[i]
    return out


@njit(cache=True)
def dual_value(loss: int, v: Floats, y: Floats, w: Floats) -> float:
    """Return the part of the bound that no neuron changes."""
    total = 0.0
    for i in range(len(v)):
        total += dual_point(loss, v[i], y[i], w[i])
    return total
