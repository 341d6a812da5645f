"""Confidence interval of an F1 score whose rows depend on each other within groups."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from probing_datasets.foundation.errors import ProbeError
from sparse_probing.probes.inference.share_interval import share_interval


def f1_interval(
    y: ArrayLike, predicted: ArrayLike, groups: ArrayLike | None = None, level: float = 0.95
) -> tuple[float, float]:
    """Return the ends of the confidence interval of an F1 score.

    Of the rows that are positive or predicted to be, a share J (Jaccard's index) is both, and
    F1 = 2 J / (1 + J). The interval is Wilson's for the proportion J, mapped to F1. Unlike a bootstrap interval, it
    is not empty where every prediction is right.

    Parameters
    ----------
    y : (n,) array
        Positive rows have values above 0.
    predicted : (n,) array
        Likewise; decision values will do.
    groups : (n,) array of int, optional
        Groups are independent, rows of one group may depend on each other. Without it, all rows are independent.
    level : float
        Confidence, strictly between 0 and 1.

    Raises
    ------
    ProbeError
        If the shapes differ, positives are in fewer than two groups, or ``level`` is out of range.

    Notes
    -----
    The design effect is that of :func:`sparse_probing.probes.inference.share_interval.share_interval`. The reference is
    a t distribution with one degree of freedom less than there are groups with positives.

    References
    ----------
    Takahashi et al., Applied Intelligence 52 (2022), and Flores et al., arXiv:2209.09034, for F1 as a function of a
    proportion; Wilson, JASA 22 (1927); Dean and Pagano, Statistics in Medicine 34 (2015), for clusters.

    Examples
    --------
    >>> import numpy as np
    >>> low, high = f1_interval(np.repeat([1, -1], [9, 50]), np.repeat([1, -1], [9, 50]))
    >>> round(low, 2), high
    (0.77, 1.0)
    """
    positive, found = np.asarray(y) > 0, np.asarray(predicted) > 0
    codes = np.arange(len(positive)) if groups is None else np.unique(groups, return_inverse=True)[1]
    if positive.shape != found.shape or positive.shape != codes.shape or not 0 < level < 1:
        raise ProbeError(
            f"Labels {positive.shape}, predictions {found.shape} and groups {codes.shape} must be vectors of one "
            f"length, and the level between 0 and 1, not {level}."
        )
    n_groups = len(np.unique(codes[positive]))
    if n_groups < 2:
        raise ProbeError(f"The positive rows are of {n_groups} group: the variance of F1 is unknown. Use more data.")
    hits = np.bincount(codes, weights=positive & found).astype(np.float64)
    rows = np.bincount(codes, weights=positive | found).astype(np.float64)
    low, high = share_interval(hits, rows, n_groups - 1, level)
    return 2 * low / (1 + low), 2 * high / (1 + high)
