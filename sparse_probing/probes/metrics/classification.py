"""Classification metrics of many probes at once, equal to scikit-learn's."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray

from probing_datasets.foundation.errors import ProbeError
from sparse_probing.probes.inputs.validation import Booleans, Floats, Integers, check_rows

AREA_METRICS = ("roc_auc", "average_precision", "pr_auc")
"""Metrics of the order of the scores, which require a sort."""
SORTED_TOGETHER = 2**19
"""Scores that are transposed and sorted at once: wide enough that a row of the block fills cache lines."""
CLASSIFICATION_METRICS = (
    "mcc",
    "f1_score",
    "f0.5_score",
    "f2_score",
    "precision",
    "recall",
    "cohen_kappa",
    "fmi",
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
        ``mcc``, ``f1_score``, ``f0.5_score``, ``f2_score``, ``precision``, ``recall``, ``cohen_kappa``, ``fmi``
        (Fowlkes and Mallows' index, the geometric mean of precision and recall), ``accuracy``,
        ``balanced_accuracy``, ``roc_auc``, ``average_precision``, ``pr_auc`` (float64) and the counts
        ``true_positives``, ``false_positives``, ``true_negatives``, ``false_negatives`` (int64).
        ``average_precision`` is the area under the steps of the precision-recall curve, ``pr_auc`` that under
        straight lines between its points (``auc`` of ``precision_recall_curve`` in scikit-learn), which is
        slightly optimistic.

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
        table |= _area_metrics(labels > 0, scores, precision_recall=not set(names).isdisjoint(AREA_METRICS[1:]))
    return {name: table[name] for name in names}


def _threshold_metrics(positive: Booleans, predicted: Booleans) -> dict[str, NDArray]:
    tp = np.count_nonzero(predicted[positive], axis=0)
    fp = np.count_nonzero(predicted[~positive], axis=0)
    fn = np.count_nonzero(positive) - tp
    tn = np.count_nonzero(~positive) - fp
    recall, specificity = tp / (tp + fn), tn / (tn + fp)
    precision = ratio_or_zero(tp, tp + fp)
    determinant = tp.astype(float) * tn - fp.astype(float) * fn
    # Floats: the product of the four sums overflows int64 from about 50,000 rows.
    margins = np.sqrt((tp + fp).astype(float) * (tp + fn) * (tn + fp) * (tn + fn))
    return {
        "mcc": ratio_or_zero(determinant, margins),
        "f1_score": ratio_or_zero(2 * tp, 2 * tp + fp + fn),
        "f0.5_score": ratio_or_zero(1.25 * tp, 1.25 * tp + fp + 0.25 * fn),
        "f2_score": ratio_or_zero(5 * tp, 5 * tp + fp + 4 * fn),
        "precision": precision,
        "recall": recall,
        "cohen_kappa": 2 * determinant / ((tp + fp).astype(float) * (fp + tn) + (tp + fn).astype(float) * (fn + tn)),
        "fmi": np.sqrt(precision * recall),
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


def _area_metrics(positive: Booleans, scores: NDArray, precision_recall: bool) -> dict[str, NDArray]:
    roc_auc, under_curve = [], []
    for hits, misses in _sorted_by_class(positive, scores):
        # How many negatives are below every positive. A search of sorted scores with sorted
        # queries is several times faster than a ranking of all rows.
        below = np.searchsorted(misses, hits)
        not_above = below
        if (misses.take(below, mode="clip") == hits).any():
            not_above = np.searchsorted(misses, hits, side="right")
        # The chance that a positive scores above a negative, where ties count half.
        roc_auc.append((below.sum() + not_above.sum()) / (2 * len(hits) * len(misses)))
        if precision_recall:
            under_curve.append(_precision_recall_areas(hits, len(misses), below, not_above))
    areas = dict(zip(AREA_METRICS[1:], np.array(under_curve).T, strict=True)) if precision_recall else {}
    return {"roc_auc": np.array(roc_auc), **areas}


def _sorted_by_class(positive: Booleans, scores: NDArray) -> Iterator[tuple[NDArray, NDArray]]:
    """Yield the sorted scores of the positives and of the negatives of every column, in the dtype of the scores.

    Sorting takes most of the time of the area metrics, and float32 sorts twice as fast as float64.
    """
    width = max(4, SORTED_TOGETHER // len(scores))
    for start in range(0, scores.shape[1], width):
        columns = scores[:, start : start + width]
        hits, misses = (np.sort(np.ascontiguousarray(columns[rows].T), axis=1) for rows in (positive, ~positive))
        yield from zip(hits, misses, strict=True)


def _precision_recall_areas(
    positives: NDArray, n_negatives: int, below: Integers, not_above: Integers
) -> tuple[float, float]:
    """Return average precision and the area under lines: means over the positives (p,), in increasing order.

    At the score of a positive as threshold, recall grows by 1 / p for each positive of that score. The area under
    steps counts the precision at this threshold, the area under lines its mean with the precision just above it.
    """
    first = np.arange(len(positives))
    last = first
    # Tied positives all count from the first of them, and end with the last.
    first_of_its_value = np.concatenate([[True], positives[1:] != positives[:-1]])
    if not first_of_its_value.all():
        first = np.maximum.accumulate(np.where(first_of_its_value, first, 0))
        last = np.append(np.flatnonzero(first_of_its_value)[1:], len(positives))[np.cumsum(first_of_its_value) - 1] - 1
    hits, hits_above = len(positives) - first, len(positives) - 1 - last
    precision = hits / (hits + (n_negatives - below))
    predicted_above = hits_above + (n_negatives - not_above)
    # Above all scores nothing is predicted, and the precision is defined as 1.
    precision_above = np.divide(hits_above, predicted_above, out=np.ones(len(positives)), where=predicted_above > 0)
    return float(precision.mean()), float((precision + precision_above).mean() / 2)


def precision_recall_points(y: ArrayLike, scores: ArrayLike, n_points: int = 100) -> tuple[Floats, Floats]:
    """Return points of the precision-recall curve of one probe.

    Parameters
    ----------
    y : (n,) array of -1 and +1
    scores : (n,) array of any real dtype
        Decision values.
    n_points : int
        Points to return at most, evenly spread over all distinct thresholds; the first and the last point always.

    Returns
    -------
    precision, recall : (p,) float64
        In increasing order of the threshold: from recall 1 to precision 1 at recall 0, as scikit-learn's
        ``precision_recall_curve``.

    Raises
    ------
    ProbeError
        If a class is missing, the shapes do not fit, a score is not finite, or ``n_points`` is below 2.
    """
    if n_points < 2:
        raise ProbeError(f"A curve needs at least 2 points, not {n_points}.")
    values, labels = check_rows(np.asarray(scores)[:, None], y)
    order = np.argsort(values[:, 0], kind="stable")
    ordered, positive = values[order, 0], labels[order] > 0
    # All rows from the first of a value on are predicted positive at that threshold.
    start = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    hits = (np.count_nonzero(positive) - np.concatenate([[0], np.cumsum(positive)]))[start]
    precision = np.append(hits / (len(positive) - start), 1.0)
    recall = np.append(hits / np.count_nonzero(positive), 0.0)
    if len(precision) > n_points:
        chosen = np.round(np.linspace(0, len(precision) - 1, n_points)).astype(int)
        precision, recall = precision[chosen], recall[chosen]
    return precision, recall
