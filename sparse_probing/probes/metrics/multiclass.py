"""Metrics of a multiclass probe, multinomial or one-vs-rest, equal to scikit-learn's."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from probing_datasets.foundation.errors import ProbeError
from sparse_probing.probes.inputs.validation import Floats, Integers
from sparse_probing.probes.metrics.classification import ratio_or_zero


@dataclass(frozen=True)
class MulticlassMetrics:
    """Metrics over all c classes of the scores; ratios without a denominator are 0."""

    confusion: Integers
    """(c, c) rows by true class and predicted class."""
    precision: Floats
    """(c,)"""
    recall: Floats
    """(c,)"""
    f1_score: Floats
    """(c,)"""
    macro_precision: float
    """Mean over all classes."""
    macro_recall: float
    """Mean over all classes."""
    macro_f1_score: float
    """Mean over all classes."""
    weighted_f1_score: float
    """Mean weighted by the rows of every true class."""
    accuracy: float
    balanced_accuracy: float
    """Mean recall of the classes that have rows."""
    mcc: float
    """Matthews' correlation in its multiclass form (R_K of Gorodkin 2004)."""


def multiclass_metrics(y: ArrayLike, scores: ArrayLike) -> MulticlassMetrics:
    """Return the metrics of predicting in every row the class of the highest score.

    Parameters
    ----------
    y : (n,) array of int
        True classes, from 0 to c - 1.
    scores : (n, c) array
        A score per class; of equal scores the first class is predicted.

    Raises
    ------
    ProbeError
        If the shapes do not fit, a label is not a column of ``scores``, or a score is NaN.
    """
    labels, values = _check_labels_and_scores(y, scores)
    c = values.shape[1]
    confusion = np.bincount(labels * c + values.argmax(axis=1), minlength=c * c).reshape(c, c)
    hits, true, predicted = np.diagonal(confusion).astype(np.float64), confusion.sum(axis=1), confusion.sum(axis=0)
    precision, recall = ratio_or_zero(hits, predicted), ratio_or_zero(hits, true)
    f1 = ratio_or_zero(2 * hits, true + predicted)
    # Matthews' correlation: R_K of Gorodkin.
    n, true_rows, predicted_rows = float(len(labels)), true.astype(np.float64), predicted.astype(np.float64)
    covariance = hits.sum() * n - true_rows @ predicted_rows
    spread = np.sqrt(n**2 - true_rows @ true_rows) * np.sqrt(n**2 - predicted_rows @ predicted_rows)
    return MulticlassMetrics(
        confusion=confusion,
        precision=precision,
        recall=recall,
        f1_score=f1,
        macro_precision=float(precision.mean()),
        macro_recall=float(recall.mean()),
        macro_f1_score=float(f1.mean()),
        weighted_f1_score=float(f1 @ true / len(labels)),
        accuracy=float(hits.sum() / len(labels)),
        balanced_accuracy=float(recall[true > 0].mean()),
        mcc=float(covariance / spread) if spread > 0 else 0.0,
    )


def mean_roc_auc(y: ArrayLike, scores: ArrayLike) -> float:
    """Return the mean ROC-AUC of each class against all others, over the classes that have rows and leave others.

    Parameters and errors as those of :func:`multiclass_metrics`; NaN where all rows are of one class.
    """
    from scipy.stats import rankdata  # here, because its import takes most of a second in every process

    labels, values = _check_labels_and_scores(y, scores)
    n = np.bincount(labels, minlength=values.shape[1]).astype(np.float64)
    ranks = np.zeros(len(n))
    np.add.at(ranks, labels, rankdata(values, axis=0)[np.arange(len(labels)), labels])
    has_both = (n > 0) & (n < len(labels))
    n, ranks = n[has_both], ranks[has_both]
    areas = (ranks - n * (n + 1) / 2) / (n * (len(labels) - n))
    return float(areas.mean()) if len(areas) else float("nan")


def _check_labels_and_scores(y: ArrayLike, scores: ArrayLike) -> tuple[Integers, NDArray]:
    labels, values = np.asarray(y), np.asarray(scores)
    if labels.ndim != 1 or values.ndim != 2 or len(labels) != len(values) or values.size == 0:
        raise ProbeError(f"Labels {labels.shape} and scores {values.shape} must be (n,) and (n, classes).")
    if not np.issubdtype(labels.dtype, np.integer) or labels.min() < 0 or labels.max() >= values.shape[1]:
        raise ProbeError(f"Labels must be whole numbers from 0 to {values.shape[1] - 1}, one per column of scores.")
    if np.isnan(values).any():
        raise ProbeError("A score is NaN. Check the probe behind it.")
    return labels.astype(np.int64), values
