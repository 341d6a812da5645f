"""Metrics of a monitor with intervals: whole groups are drawn again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from sparse_probing.probes.inference.group_bootstrap import group_bootstrap
from sparse_probing.probes.inputs.validation import check_rows
from sparse_probing.probes.metrics.monitor_metrics import (
    FALSE_POSITIVE_RATES,
    partial_roc_auc,
    recall_at,
    resolution_note,
)


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


def monitor_metrics(
    y: ArrayLike,
    scores: ArrayLike,
    groups: ArrayLike,
    rng: np.random.Generator,
    rates: Sequence[float] = FALSE_POSITIVE_RATES,
    n_resamples: int = 1000,
) -> list[MonitorMetric]:
    """Return recall and partial ROC-AUC at each false positive rate, with intervals.

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
        If a class is missing, there are fewer than five groups, or the shapes do not fit.
    """
    column, labels = check_rows(np.asarray(scores)[:, None], y)
    n_negative = int(np.count_nonzero(labels < 0))

    def values(rows: np.ndarray) -> np.ndarray:
        drawn = labels[rows], column[rows]
        return np.array([[recall_at(*drawn, rate)[0], partial_roc_auc(*drawn, rate)[0]] for rate in rates])

    point = values(np.arange(len(labels)))
    interval = group_bootstrap(values, groups, rng, labels, n_resamples)
    metrics = []
    for i, rate in enumerate(rates):
        note = resolution_note(n_negative, rate)
        for j, name in enumerate(("recall", "partial_roc_auc")):
            low, high = (np.nan, np.nan) if note else (interval.low[i, j], interval.high[i, j])
            metrics.append(MonitorMetric(name, rate, float(point[i, j]), float(low), float(high), note))
    return metrics
