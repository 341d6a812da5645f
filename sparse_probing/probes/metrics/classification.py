"""Classification metrics of many probes at once, equal to scikit-learn's."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray

from probing_datasets.foundation.errors import ProbeError
from sparse_probing.probes.inputs.validation import Booleans, Floats, Integers, check_rows

AREA_METRICS = ("roc_auc", "average_precision")
"""Metrics of the order of the scores, which require a sort."""
SORTED_TOGETHER = 2**19
"""Scores that are transposed and sorted at once: wide enough that a row of the block fills cache lines."""
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
    are 0 (``zero_division=0``). Area metrics depend only on the order of the scores; tied
    scores count as in scikit-learn.

    Parameters
    ----------
    y : (n,) array of -1 and +1
    scores : (n, m) array of any real dtype
        Decision values, one column per probe.
    only : collection of str, optional
        Metrics to return, of ``CLASSIFICATION_METRICS``; all by default. Scores are sorted only
        for ``AREA_METRICS``.

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
    names = CLASSIFICATION_METRICS if only is None else only
    unknown = set(names) - set(CLASSIFICATION_METRICS)
    if unknown:
        raise ProbeError(f"There is no metric {sorted(unknown)}. Choose from {', '.join(CLASSIFICATION_METRICS)}.")
    scores, labels = check_rows(scores, y)
    table = _threshold_metrics(labels > 0, scores > 0)
    if not set(names).isdisjoint(AREA_METRICS):
        table |= _area_metrics(labels > 0, scores)
    return {name: table[name] for name in names}


def _threshold_metrics(positive: Booleans, predicted: Booleans) -> dict[str, NDArray]:
    tp = np.count_nonzero(predicted[positive], axis=0)
    fp = np.count_nonzero(predicted[~positive], axis=0)
    fn = np.count_nonzero(positive) - tp
    tn = np.count_nonzero(~positive) - fp
    recall, specificity = tp / (tp + fn), tn / (tn + fp)
    # Floats: the product of the four sums overflows int64 from about 50,000 rows.
    margins = np.sqrt((tp + fp).astype(float) * (tp + fn) * (tn + fp) * (tn + fn))
    return {
        "mcc": ratio_or_zero(tp.astype(float) * tn - fp.astype(float) * fn, margins),
        "f1_score": ratio_or_zero(2 * tp, 2 * tp + fp + fn),
        "precision": ratio_or_zero(tp, tp + fp),
        "recall": recall,
        "accuracy": (tp + tn) / len(positive),
        "balanced_accuracy": (recall + specificity) / 2,
        "true_positives": tp,
        "false_positives": fp,
        "true_negatives": tn,
        "false_negatives": fn,
    }


def ratio_or_zero(numerator: NDArray, denominator: NDArray) -> Floats:
    """Return ``numerator / denominator`` (m,), and 0 where the denominator is 0."""
    return np.divide(numerator, denominator, out=np.zeros(len(numerator)), where=denominator > 0)


def _area_metrics(positive: Booleans, scores: NDArray) -> dict[str, NDArray]:
    roc_auc, average_precision = [], []
    for hits, misses in _sorted_by_class(positive, scores):
        # How many negatives are below every positive. A search of sorted scores with sorted
        # queries is several times faster than a ranking of all rows.
        below = np.searchsorted(misses, hits)
        not_above = below
        if (misses.take(below, mode="clip") == hits).any():
            not_above = np.searchsorted(misses, hits, side="right")
        # The chance that a positive scores above a negative, where ties count half.
        roc_auc.append((below.sum() + not_above.sum()) / (2 * len(hits) * len(misses)))
        average_precision.append(_average_precision(hits, len(misses), below))
    return {"roc_auc": np.array(roc_auc), "average_precision": np.array(average_precision)}


def _sorted_by_class(positive: Booleans, scores: NDArray) -> Iterator[tuple[NDArray, NDArray]]:
    """Yield the sorted scores of the positives and of the negatives of every column, in the dtype of the scores.

    Sorting takes most of the time of the area metrics, and float32 sorts twice as fast as float64.
    """
    width = max(4, SORTED_TOGETHER // len(scores))
    for start in range(0, scores.shape[1], width):
        columns = scores[:, start : start + width]
        hits, misses = (np.sort(np.ascontiguousarray(columns[rows].T), axis=1) for rows in (positive, ~positive))
        yield from zip(hits, misses, strict=True)


def _average_precision(positives: NDArray, n_negatives: int, below: Integers) -> float:
    """Return the mean over the positives of the precision when the threshold is the score of this positive."""
    rank = np.arange(len(positives))
    # Tied positives all count from the first of them.
    first_of_its_value = np.concatenate([[True], positives[1:] != positives[:-1]])
    if not first_of_its_value.all():
        rank = np.maximum.accumulate(np.where(first_of_its_value, rank, 0))
    hits = len(positives) - rank
    return float(np.mean(hits / (hits + (n_negatives - below))))
