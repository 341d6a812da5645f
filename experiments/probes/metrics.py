"""Classification metrics of many probes at once, equal to scikit-learn's."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from experiments.probes.inputs import Floats, check_rows


def classification_metrics(y: ArrayLike, scores: ArrayLike) -> dict[str, NDArray]:
    """Return every metric of m probes on the same rows.

    A row is predicted positive where its score is above 0. Ratios without a denominator
    are 0 (``zero_division=0``). Area metrics depend on the order of the scores alone, and
    tied scores count as scikit-learn counts them.

    Parameters
    ----------
    y : (n,) array of -1 and +1
    scores : (n, m) array
        Decision values, one column per probe.

    Returns
    -------
    dict of (m,) arrays
        ``mcc``, ``f1_score``, ``precision``, ``recall``, ``accuracy``, ``balanced_accuracy``,
        ``roc_auc``, ``average_precision`` (float64) and the counts ``true_positives``,
        ``false_positives``, ``true_negatives``, ``false_negatives`` (int64).

    Raises
    ------
    ProbeError
        If a class is missing, the shapes do not fit, or a score is not finite.
    """
    scores, labels = check_rows(scores, y)
    return {**_threshold_metrics(labels > 0, scores > 0), **_area_metrics(labels > 0, scores)}


def _threshold_metrics(positive: NDArray[np.bool_], predicted: NDArray[np.bool_]) -> dict[str, NDArray]:
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


def _area_metrics(positive: NDArray[np.bool_], scores: NDArray) -> dict[str, NDArray]:
    areas = np.empty((2, scores.shape[1]))
    for column, values in enumerate(np.ascontiguousarray(scores.T)):
        hits, misses = np.sort(values[positive]), np.sort(values[~positive])
        areas[:, column] = area_under_roc(hits, misses), _average_precision(hits, misses)
    return {"roc_auc": areas[0], "average_precision": areas[1]}


def area_under_roc(positives: NDArray, negatives: NDArray) -> float:
    """Return the chance that a positive scores above a negative, ties counting half.

    Parameters
    ----------
    positives, negatives : sorted vectors of scores

    Notes
    -----
    Searching a sorted vector with sorted queries is several times faster than ranking
    all rows, and tied values need no special care.
    """
    below = np.searchsorted(negatives, positives, side="left").sum()
    not_above = np.searchsorted(negatives, positives, side="right").sum()
    return (below + not_above) / (2 * len(positives) * len(negatives))


def _average_precision(positives: NDArray, negatives: NDArray) -> float:
    """Mean over the positives of the precision when the threshold is that positive's score."""
    hits = len(positives) - np.searchsorted(positives, positives, side="left")
    false_alarms = len(negatives) - np.searchsorted(negatives, positives, side="left")
    return float(np.mean(hits / (hits + false_alarms)))


def _ratio(numerator: NDArray, denominator: NDArray) -> Floats:
    return np.divide(numerator, denominator, out=np.zeros(len(numerator)), where=denominator > 0)
