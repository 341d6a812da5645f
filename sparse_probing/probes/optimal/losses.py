"""Losses of optimal sparse probes, row by row, with the duals that bound the objective from below.

The loss ``l(y, f)`` of a row with weight ``w`` is described by its value, its *dual* ``v = -w dl/df`` and its
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

from sparse_probing.probes.inputs.validation import Floats

LossName = Literal["hinge", "logistic", "squared"]

HINGE, LOGISTIC, SQUARED = 0, 1, 2
CODES: dict[LossName, int] = {"hinge": HINGE, "logistic": LOGISTIC, "squared": SQUARED}


@njit(cache=True)
def point(loss: int, f: float, y: float, w: float, delta: float) -> tuple[float, float, float]:
    """Return value, dual and curvature of one row; the hinge is smoothed over a width ``delta`` (0: not smoothed)."""
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
    """Return the term that the dual of one row adds to the bound."""
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
    """Fill duals ``v`` and curvatures ``h``, both (n,); return the sum of the losses, smoothed over ``delta``."""
    total = 0.0
    for i in range(len(f)):
        value, v[i], h[i] = point(loss, f[i], y[i], w[i], delta)
        total += value
    return total


@njit(cache=True)
def balance(loss: int, v: Floats, w: Floats) -> tuple[float, float, float]:
    """Return the factors that make the sum of duals zero; bounded duals are only shrunk.

    Returns
    -------
    tuple of three floats
        ``(up, down, shift)``: positive duals are multiplied by ``up`` and negative duals by ``down``; then
        ``shift * w`` is subtracted from all.
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
    """Return the duals (n,), shrunk or shifted so that their sum is zero."""
    up, down, shift = balance(loss, v, w)
    out = np.empty_like(v)
    for i in range(len(v)):
        out[i] = v[i] * (up if v[i] > 0.0 else down) - shift * w[i]
    return out


@njit(cache=True)
def dual_value(loss: int, v: Floats, y: Floats, w: Floats) -> float:
    """Return the part of the bound that does not depend on the support."""
    total = 0.0
    for i in range(len(v)):
        total += dual_point(loss, v[i], y[i], w[i])
    return total
