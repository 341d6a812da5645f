"""Classification metrics of many probes at once, equal to scikit-learn's."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray

from probing_datasets.foundation.errors import ProbeError
from sparse_probing.probes.validation import Booleans, Floats, Integers, check_rows

AREA_METRICS = ("roc_auc", "average_precision")
"""Metrics of the order of the scores, which cost a sort."""
SORTED_TOGETHER = 2**19
"""Scores turned into columns and sorted at once: wide enough that a row of the block fills cache lines."""
CLASSIFICATION_METRICS = (
    "mcc",
    "f1_score",
    "precision",
    "recall",
    "accuracy",
    "balanced_accuracy",
    "true_positives",
    "false_positives",
    "true_negatives",
    "false_negatives",
    *AREA_METRICS,
)


def classification_metrics(y: ArrayLike, scores: ArrayLike, only: Collection[str] | None = None) -> dict[str, NDArray]:
    """Return the metrics of m probes on the same rows.

    A row is predicted positive where its score is above 0. Ratios without a denominator
    are 0 (``zero_division=0``). Area metrics depend on the order of the scores alone, and
    tied scores count as scikit-learn counts them.

    Parameters
    ----------
    y : (n,) array of -1 and +1
    scores : (n, m) array of any real dtype
        Decision values, one column per probe.
    only : collection of str, optional
        Metrics to return, of ``CLASSIFICATION_METRICS``; all by default. Nothing is sorted
        unless one of ``AREA_METRICS`` is among them.

    Returns
    -------
    dict of (m,) arrays
        ``mcc``, ``f1_score``, ``precision``, ``recall``, ``accuracy``, ``balanced_accuracy``,
        ``roc_auc``, ``average_precision`` (float64) and the counts ``true_positives``,
        ``false_positives``, ``true_negatives``, ``false_negatives`` (int64).

    Raises
    ------
    ProbeError
        If a class is missing, the shapes do not fit, a score is not finite, or a metric is unknown.
    """
    wanted = CLASSIFICATION_METRICS if only is None else only
    if unknown := set(wanted) - set(CLASSIFICATION_METRICS):
        raise ProbeError(f"No metric is called {sorted(unknown)}. Choose from {', '.join(CLASSIFICATION_METRICS)}.")
    scores, labels = check_rows(scores, y)
    table = _threshold_metrics(labels > 0, scores > 0)
    if not set(wanted).isdisjoint(AREA_METRICS):
        table |= _area_metrics(labels > 0, scores)
    return {name: table[name] for name in wanted}


def _threshold_metrics(positive: Booleans, predicted: Booleans) -> dict[str, NDArray]:
    tp = np.count_nonzero(predicted[positive], axis=0)
    fp = np.count_nonzero(predicted[~positive], axis=0)
    fn = np.count_nonzero(positive) - tp
    tn = np.count_nonzero(~positive) - fp
    recall, specificity = tp / (tp + fn), tn / (tn + fp)
    # The four factors as floats: their product overflows int64 from about 50,000 rows on.
    margins = np.sqrt((tp + fp).astype(float) * (tp + fn) * (tn + fp) * (tn + fn))
    return {
        "mcc": _ratio(tp.astype(float) * tn - fp.astype(float) * fn, margins),
        "f1_score": _ratio(2 * tp, 2 * tp + fp + fn),
        "precision": _ratio(tp, tp + fp),
        "recall": recall,
        "accuracy": (tp + tn) / len(positive),
        "balanced_accuracy": (recall + specificity) / 2,
        "true_positives": tp,
        "false_positives": fp,
        "true_negatives": tn,
        "false_negatives": fn,
    }


def _ratio(numerator: NDArray, denominator: NDArray) -> Floats:
    return np.divide(numerator, denominator, out=np.zeros(len(numerator)), where=denominator > 0)


def _area_metrics(positive: Booleans, scores: NDArray) -> dict[str, NDArray]:
    areas = [
        (_area_under_roc(hits, misses, below), _average_precision(hits, len(misses), below))
        for hits, misses in _sorted_by_class(positive, scores)
        for below in [np.searchsorted(misses, hits)]
    ]
    return dict(zip(AREA_METRICS, np.array(areas).T, strict=True))


def _sorted_by_class(positive: Booleans, scores: NDArray) -> Iterator[tuple[NDArray, NDArray]]:
    """Yield the sorted scores of the positives and of the negatives of every column, in their own dtype.

    Sorting dominates the area metrics, and float32 sorts twice as fast as float64.
    """
    width = max(4, SORTED_TOGETHER // len(scores))
    for start in range(0, scores.shape[1], width):
        columns = scores[:, start : start + width]
        classes = (np.ascontiguousarray(columns[rows].T) for rows in (positive, ~positive))
        yield from zip(*(np.sort(values, axis=1) for values in classes), strict=True)


def _area_under_roc(positives: NDArray, negatives: NDArray, below: Integers) -> float:
    """Return the chance that a positive scores above a negative, ties counting half.

    Both are sorted, and ``below`` is how many negatives are below every positive: searching a
    sorted vector with sorted queries is several times faster than ranking all rows.
    """
    not_above = below
    if (negatives.take(below, mode="clip") == positives).any():
        not_above = np.searchsorted(negatives, positives, side="right")
    return (below.sum() + not_above.sum()) / (2 * len(positives) * len(negatives))


def _average_precision(positives: NDArray, n_negatives: int, below: Integers) -> float:
    """Mean over the positives of the precision when the threshold is that positive's score."""
    place = np.arange(len(positives))
    first_of_its_value = np.concatenate([[True], positives[1:] != positives[:-1]])
    if not first_of_its_value.all():
        place = np.maximum.accumulate(np.where(first_of_its_value, place, 0))
    hits = len(positives) - place
    return float(np.mean(hits / (hits + (n_negatives - below))))
