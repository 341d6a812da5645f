"""Confidence interval of a share, such as an accuracy, whose rows depend on each other within groups."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import stdtrit

from probing_datasets.foundation.errors import ProbeError
from sparse_probing.probes.inputs.validation import Floats


def accuracy_interval(hits: ArrayLike, groups: ArrayLike, level: float = 0.95) -> tuple[float, float]:
    """Return the ends of the confidence interval of the share of rows that are right.

    Unlike a bootstrap interval, it is not empty where every row is right.

    Parameters
    ----------
    hits : (n,) array of bool
        Whether a row is right.
    groups : (n,) array of int
        Groups are independent, rows of one group may depend on each other.
    level : float
        Confidence, strictly between 0 and 1.

    Raises
    ------
    ProbeError
        If the shapes differ, there are fewer than two groups, or ``level`` is out of range.

    Examples
    --------
    >>> low, high = accuracy_interval([True] * 30, range(30))
    >>> round(low, 2), high
    (0.88, 1.0)
    """
    right, codes = np.asarray(hits, bool), np.unique(groups, return_inverse=True)[1]
    if right.shape != codes.shape or right.ndim != 1 or not 0 < level < 1:
        raise ProbeError(
            f"Rows {right.shape} and groups {codes.shape} must be vectors of one length, and the level between 0 and "
            f"1, not {level}."
        )
    rows = np.bincount(codes).astype(np.float64)
    if len(rows) < 2:
        raise ProbeError(f"The rows are of {len(rows)} group: the variance of a share is unknown. Use more data.")
    return share_interval(np.bincount(codes, weights=right).astype(np.float64), rows, len(rows) - 1, level)


def share_interval(hits: Floats, rows: Floats, degrees_of_freedom: int, level: float) -> tuple[float, float]:
    """Return Wilson's interval of the share of hits among rows.

    Parameters
    ----------
    hits, rows : (n_groups,) arrays
        Hits and rows of every group; some groups have rows.
    degrees_of_freedom : int
        Of the t distribution that is the reference.
    level : float
        Confidence.

    Notes
    -----
    The number of rows is divided by the design effect: the variance of the share over groups (linearised) relative to
    that of independent rows. Where the share is 0 or 1 it cannot be estimated, and rows of a group count as one.

    References
    ----------
    Wilson, JASA 22 (1927); Dean and Pagano, Statistics in Medicine 34 (2015), for clusters.
    """
    n, with_rows = rows.sum(), np.count_nonzero(rows)
    share = hits.sum() / n
    if 0 < share < 1:
        between = np.square(hits - share * rows).sum() * with_rows / (with_rows - 1)
        design_effect = max(1.0, between / (n * share * (1 - share)))
    else:
        design_effect = np.square(rows).sum() / n
    # Wilson: the proportions that are within z times their standard errors.
    z_squared = float(stdtrit(degrees_of_freedom, (1 + level) / 2)) ** 2 * design_effect / n
    centre = (share + z_squared / 2) / (1 + z_squared)
    half = np.sqrt(z_squared * (share * (1 - share) + z_squared / 4)) / (1 + z_squared)
    return float(min(max(centre - half, 0.0), 1.0)), float(min(max(centre + half, 0.0), 1.0))
