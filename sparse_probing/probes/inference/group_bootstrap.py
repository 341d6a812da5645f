"""Bootstrap confidence intervals of any metric, by resampling whole groups."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr, stdtrit

from probing_datasets.foundation.errors import ProbeError
from sparse_probing.probes.inputs.validation import Floats, Integers

FEWEST_GROUPS = 5
"""With fewer, resamples have too few different values."""


@dataclass(frozen=True)
class Interval:
    """A confidence interval; its fields have the shape of the metric."""

    low: Floats
    high: Floats


def group_bootstrap(
    metric: Callable[[Integers], ArrayLike],
    groups: ArrayLike,
    rng: np.random.Generator,
    labels: ArrayLike | None = None,
    n_resamples: int = 1000,
    level: float = 0.95,
) -> Interval:
    """Return the expanded percentile bootstrap interval of a metric of independent groups of rows.

    With few groups the percentiles of a bootstrap are too narrow, by the ratio of t to normal quantiles and by
    sqrt(g / (g - 1)). The percentiles are therefore moved outwards, for g the number of groups (of the smallest
    set from which groups are drawn). An interval is not to be had from a metric that every resample
    shares, such as an accuracy of 1; for F1 and the area under the ROC curve use
    :func:`sparse_probing.probes.inference.f1_interval.f1_interval` and
    :func:`sparse_probing.probes.inference.roc_auc_inference.roc_inference`.

    Parameters
    ----------
    metric : callable
        From row indices, which contain a group twice if it was drawn twice, to one or more numbers.
    groups : (n,) array of int
        Rows of one group may depend on each other; any codes.
    rng : numpy.random.Generator
    labels : (n,) array, optional
        With it, groups are drawn among those with the same classes, so that every resample has
        every class. A set of one group is drawn as it is.
    n_resamples : int
        At least 2.
    level : float
        Confidence of the interval, strictly between 0 and 1.

    Raises
    ------
    ProbeError
        If there are fewer than five groups, the lengths differ, or ``n_resamples`` or ``level`` is out of its range.

    References
    ----------
    Efron and Tibshirani, An Introduction to the Bootstrap (1993), section 13.3; Field and Welsh,
    Bootstrapping Clustered Data (JRSS B 2007), for whole groups; Hesterberg, The American Statistician 69
    (2015), section 5.3, for the expanded percentiles.

    Examples
    --------
    >>> import numpy as np
    >>> values, groups = np.repeat(np.arange(50.0), 4), np.repeat(np.arange(50), 4)
    >>> interval = group_bootstrap(lambda rows: values[rows].mean(), groups, np.random.default_rng(0))
    >>> bool(interval.low < values.mean() < interval.high)
    True
    """
    codes, strata, tail = _drawing(groups, labels, n_resamples, level)
    rows_of_group = np.split(np.argsort(codes, kind="stable"), np.cumsum(np.bincount(codes))[:-1])
    values = []
    for _ in range(n_resamples):
        drawn = np.concatenate([rng.choice(stratum, len(stratum)) for stratum in strata])
        values.append(np.asarray(metric(np.concatenate([rows_of_group[group] for group in drawn]))))
    low, high = np.quantile(np.stack(values).astype(np.float64), [tail, 1 - tail], axis=0)
    return Interval(low, high)


def group_weights(
    groups: ArrayLike,
    rng: np.random.Generator,
    labels: ArrayLike | None = None,
    n_resamples: int = 1000,
    level: float = 0.95,
) -> tuple[NDArray[np.int32], Integers, float]:
    """Return how often resamples have every group, for metrics of many resamples at once.

    Parameters
    ----------
    groups, rng, labels, n_resamples, level
        As in `group_bootstrap`.

    Returns
    -------
    weights : (n_groups, n_resamples) int32
    codes : (n,) int64
        Group of every row, from 0.
    tail : float
        The ends of the interval are the quantiles ``tail`` and ``1 - tail`` of the metric over the resamples.

    Raises
    ------
    ProbeError
        As `group_bootstrap`.
    """
    codes, strata, tail = _drawing(groups, labels, n_resamples, level)
    weights = np.empty((codes.max() + 1, n_resamples), np.int32)
    for stratum in strata:
        share = np.full(len(stratum), 1 / len(stratum))
        weights[stratum] = rng.multinomial(len(stratum), share, size=n_resamples).T
    return weights, codes, tail


def _drawing(
    groups: ArrayLike, labels: ArrayLike | None, n_resamples: int, level: float
) -> tuple[Integers, list[Integers], float]:
    """Return the group of every row from 0, the sets from which groups are drawn, and the lower expanded percentile."""
    codes = np.unique(np.asarray(groups), return_inverse=True)[1]
    n_groups = int(codes.max(initial=-1)) + 1
    if n_groups < FEWEST_GROUPS or n_resamples < 2 or not 0 < level < 1:
        raise ProbeError(
            f"{n_groups} groups, {n_resamples} resamples and level {level} do not give an interval. "
            f"Pass at least {FEWEST_GROUPS} groups, two resamples and a level between 0 and 1."
        )
    strata = _strata(codes, labels)
    fewest = min((len(stratum) for stratum in strata if len(stratum) > 1), default=2)
    tail = ndtr(np.sqrt(fewest / (fewest - 1)) * stdtrit(fewest - 1, (1 - level) / 2))
    return codes, strata, float(tail)


def _strata(codes: Integers, labels: ArrayLike | None) -> list[Integers]:
    """Return lists of groups, of which ``codes`` (n,) are those of the rows.

    Without labels it is one list; with labels, one for every set of classes that occurs in a group.
    """
    if labels is None:
        return [np.arange(codes.max() + 1)]
    if np.shape(labels) != codes.shape:
        raise ProbeError(f"Groups {codes.shape} and labels {np.shape(labels)} must be vectors of one length.")
    classes = np.unique(labels, return_inverse=True)[1]
    present = np.zeros((codes.max() + 1, classes.max() + 1), dtype=bool)
    present[codes, classes] = True
    stratum_of_group = np.unique(present, axis=0, return_inverse=True)[1].ravel()
    return [np.flatnonzero(stratum_of_group == stratum) for stratum in range(stratum_of_group.max() + 1)]
