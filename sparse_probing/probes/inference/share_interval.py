"""Confidence interval of a share, such as an accuracy, whose rows depend on each other within groups."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import stdtrit

from probing_datasets.foundation.errors import ProbeError
from sparse_probing.probes.inputs.validation import Floats, Integers


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
    return counted_share([group_counts(hits, groups)], level)[1:]


def group_counts(hits: ArrayLike, groups: ArrayLike) -> Integers:
    """Return everything that the interval of a share needs: how many groups have how many rows and hits.

    Parameters
    ----------
    hits : (n,) array of bool
        Whether a row is right.
    groups : (n,) array of int

    Returns
    -------
    (m, 3) int64
        Rows, right rows, and the number of groups with these numbers.

    Raises
    ------
    ProbeError
        If the shapes differ.

    Examples
    --------
    >>> group_counts([True, False, True, True], [7, 7, 8, 9]).tolist()
    [[1, 1, 2], [2, 1, 1]]
    """
    right, codes = np.asarray(hits, bool), np.unique(groups, return_inverse=True)[1]
    if right.shape != codes.shape or right.ndim != 1:
        raise ProbeError(f"Rows {right.shape} and groups {codes.shape} must be vectors of one length.")
    of_groups = np.stack([np.bincount(codes), np.bincount(codes, weights=right).astype(np.int64)], axis=1)
    pairs, n_groups = np.unique(of_groups, axis=0, return_counts=True)
    return np.column_stack([pairs, n_groups])


def counted_share(counts: Iterable[ArrayLike], level: float = 0.95) -> tuple[float, float, float]:
    """Return the share of right rows in parts that have no group in common, and the ends of its interval.

    Parameters
    ----------
    counts : iterable of (m, 3) arrays
        `group_counts` of every part, such as a test fold.
    level : float
        Confidence, strictly between 0 and 1.

    Raises
    ------
    ProbeError
        If there are fewer than two groups, or ``level`` is out of range.
    """
    rows, hits, n_groups = np.concatenate([np.reshape(part, (-1, 3)) for part in counts]).astype(np.int64).T
    if not 0 < level < 1:
        raise ProbeError(f"The level must be between 0 and 1, not {level}.")
    if (total := int(n_groups.sum())) < 2:
        raise ProbeError(f"The rows are of {total} group: the variance of a share is unknown. Use more data.")
    rows, hits = (np.repeat(values, n_groups).astype(np.float64) for values in (rows, hits))
    return float(hits.sum() / rows.sum()), *share_interval(hits, rows, total - 1, level)


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
