"""Confidence intervals of areas under the ROC curve whose variance depends on the hypothetical area."""

from __future__ import annotations

import numpy as np

from sparse_probing.probes.inputs.validation import Floats

HALVINGS = 60


def score_interval(area: Floats, design_effect: Floats, n_positive: int, n_negative: int, quantile: float) -> Floats:
    """Return the lower and the upper ends (2, m) of areas ``area`` (m,).

    An area theta is inside where ``|area - theta|`` is at most ``quantile`` standard errors. The standard
    error is that of a true area of theta, so the interval is not empty at an estimated area of 1,
    where an estimated error is 0. For equal design effects both ends grow with the area.

    Parameters
    ----------
    area : (m,) array
    design_effect : (m,) array
        Variance of an area with dependent rows, relative to that with independent rows.
    n_positive, n_negative : int
        Rows.
    quantile : float
        Of the reference distribution.

    References
    ----------
    Hanley and McNeil, Radiology 143 (1982), for the variance of exponential scores; Newcombe,
    Statistics in Medicine 25 (2006), method 5, for its symmetric form and the intervals.
    """
    # g(theta) = area - theta - quantile * error(theta) is positive at 0, not positive at the area. The upper end is one
    # minus the lower end of the area of the other class.
    both = np.stack([area, 1 - area])
    low, high = np.zeros_like(both), both.copy()
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        below = both - middle > quantile * np.sqrt(design_effect * area_variance(middle, n_positive, n_negative))
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return np.stack([low[0], 1 - low[1]])


def area_variance(theta: Floats, n_positive: int, n_negative: int) -> Floats:
    """Return the variance of the area under the ROC curve of independent rows, if the true area is theta (..., m)."""
    excess = (n_positive + n_negative) / 2 - 1
    shape = 1 + excess * ((1 - theta) / (2 - theta) + theta / (1 + theta))
    return theta * (1 - theta) * shape / (n_positive * n_negative)
