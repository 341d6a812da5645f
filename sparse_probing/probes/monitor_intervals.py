"""Metrics of a monitor with intervals: whole groups are drawn again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sparse_probing.probes.inference.group_bootstrap import FEWEST_GROUPS, group_weights
from sparse_probing.probes.inputs.validation import Booleans, Floats, check_rows
from sparse_probing.probes.metrics.monitor_metrics import (
    FALSE_POSITIVE_RATES,
    ROUNDING,
    partial_roc_auc,
    recall_at,
    resolution_note,
)

WEIGHTS_AT_ONCE = 200_000
"""Rows times resamples whose curves are computed at once: few enough for the cache of a core."""


@dataclass(frozen=True)
class MonitorMetric:
    """A metric of a score at one false positive rate."""

    name: str
    """``recall`` or ``partial_roc_auc``."""
    false_positive_rate: float
    value: float
    low: float
    high: float
    """95 % interval; NaN where an interval means nothing, because the note is not empty."""
    note: str
    """Why the rate cannot be measured with so few negatives; empty where it can."""


@dataclass(frozen=True)
class ClassMonitorMetrics:
    """Recall and partial ROC-AUC of the scores of K classes, each against the others, at m false positive rates."""

    value: Floats
    """(K, m, 2); the last axis is recall, partial ROC-AUC."""
    low: Floats
    """(K, m, 2) lower ends of the intervals; NaN where the rate cannot be measured, or there are fewer than five
    groups."""
    high: Floats
    """(K, m, 2)"""


def class_monitor_metrics(
    is_class: NDArray[np.bool_],
    scores: Floats,
    groups: ArrayLike,
    rng: np.random.Generator,
    level: float = 0.95,
    rates: Sequence[float] = FALSE_POSITIVE_RATES,
    n_resamples: int = 1000,
) -> ClassMonitorMetrics:
    """Return recall and partial ROC-AUC of the score of every class at each false positive rate, with intervals.

    Parameters
    ----------
    is_class : (n, K) array of bool
        Whether a row has a class; every class has rows with and without it.
    scores : (n, K) array
    groups : (n,) array of int
        Rows of one group may depend on each other.
    rng : numpy.random.Generator
    level : float
        Confidence of the intervals.
    rates : sequence of float
    n_resamples : int

    Raises
    ------
    ProbeError
        If a class has no rows, or all; the shapes do not fit; or a score is not finite.
    """
    signs = np.where(is_class, 1.0, -1.0)
    columns = [(scores[:, [k]], signs[:, k]) for k in range(scores.shape[1])]
    value = np.array(
        [[[recall_at(y, x, rate)[0], partial_roc_auc(y, x, rate)[0]] for rate in rates] for x, y in columns]
    )
    low, high = np.full((2, *value.shape), np.nan)
    if len(np.unique(groups)) < FEWEST_GROUPS:
        return ClassMonitorMetrics(value, low, high)
    labels = np.unique(is_class, axis=0, return_inverse=True)[1].ravel()
    weights, codes, tail = group_weights(groups, rng, labels, n_resamples, level)
    for k in range(scores.shape[1]):
        n_at_once = max(WEIGHTS_AT_ONCE // len(scores), 1)
        parts = [
            weighted_values(is_class[:, k], scores[:, k], weights[codes, first : first + n_at_once], rates)
            for first in range(0, n_resamples, n_at_once)
        ]
        ends = np.quantile(np.concatenate(parts, axis=2), [tail, 1 - tail], axis=2)
        is_measured = [not resolution_note(int((~is_class[:, k]).sum()), rate) for rate in rates]
        low[k, is_measured], high[k, is_measured] = ends[0][is_measured], ends[1][is_measured]
    return ClassMonitorMetrics(value, low, high)


def weighted_values(is_positive: Booleans, scores: Floats, weights: NDArray, rates: Sequence[float]) -> Floats:
    """Return recall and partial ROC-AUC of b resamples (rates, 2, b) in which rows have the weights (n, b).

    They are those of `recall_at` and `partial_roc_auc` of rows that are repeated as often.
    """
    order = np.argsort(-scores, kind="stable")
    # Points of the ROC curves, one for each distinct score from the largest on, after the point (0, 0).
    ends = np.append(np.flatnonzero(np.diff(scores[order])), len(order) - 1)
    sorted_weights, positive = weights[order], is_positive[order]
    n_positive, n_negative = sorted_weights[positive].sum(axis=0), sorted_weights[~positive].sum(axis=0)
    origin = np.zeros((1, weights.shape[1]), np.int64)
    n_alarms = np.concatenate([origin, np.cumsum(sorted_weights * ~positive[:, None], axis=0)[ends]])
    # Only the points up to the largest rate matter, and the first one beyond it.
    last = int((n_alarms / n_negative <= max(rates)).any(axis=1).sum()) + 1
    ends, n_alarms = ends[: last - 1], n_alarms[:last]
    n_rows = ends[-1] + 1
    n_hits = np.concatenate([origin, np.cumsum(sorted_weights[:n_rows] * positive[:n_rows, None], axis=0)[ends]])
    tpr, fpr = n_hits / n_positive, n_alarms / n_negative
    values = np.empty((len(rates), 2, weights.shape[1]))
    for i, rate in enumerate(rates):
        values[i, 0] = np.where(n_alarms <= np.floor(n_negative * rate * ROUNDING), tpr, 0).max(axis=0)
        # The curve up to the rate: of the segment that crosses it, the part before.
        width = np.diff(fpr, axis=0)
        inside = np.clip(rate - fpr[:-1], 0, width)
        rise = np.diff(tpr, axis=0) * np.divide(inside, width, out=np.zeros_like(width), where=width > 0)
        area, least = (inside * (tpr[:-1] + rise / 2)).sum(axis=0), rate**2 / 2
        values[i, 1] = (1 + (area - least) / (rate - least)) / 2 if rate < 1 else area
    return values


def monitor_metrics(
    y: ArrayLike,
    scores: ArrayLike,
    groups: ArrayLike,
    rng: np.random.Generator,
    rates: Sequence[float] = FALSE_POSITIVE_RATES,
    n_resamples: int = 1000,
) -> list[MonitorMetric]:
    """Return recall and partial ROC-AUC of one score at each false positive rate, with 95 % intervals.

    Parameters
    ----------
    y : (n,) array of -1 and +1
    scores : (n,) array
    groups : (n,) array of int
        Rows of one group may depend on each other.
    rng : numpy.random.Generator
    rates : sequence of float
    n_resamples : int

    Raises
    ------
    ProbeError
        If a class is missing, or the shapes do not fit.
    """
    column, labels = check_rows(np.asarray(scores)[:, None], y)
    is_positive = labels[:, None] > 0
    of_one = class_monitor_metrics(is_positive, column, groups, rng, rates=rates, n_resamples=n_resamples)
    metrics = []
    for i, rate in enumerate(rates):
        note = resolution_note(int((~is_positive).sum()), rate)
        for j, name in enumerate(("recall", "partial_roc_auc")):
            value, low, high = (float(part[0, i, j]) for part in (of_one.value, of_one.low, of_one.high))
            metrics.append(MonitorMetric(name, rate, value, low, high, note))
    return metrics
