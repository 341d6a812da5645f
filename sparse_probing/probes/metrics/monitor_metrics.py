"""Metrics and thresholds of a monitor, which may raise few false alarms.

A row raises an alarm when its score is above the threshold. A false positive rate of 0.1 % means at most 0.1 % of the
negative rows raise one: with fewer than 1,000 negatives that is none of them, and the rate itself cannot be measured.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import betaincinv

from probing_datasets.foundation.errors import ProbeError
from sparse_probing.probes.inputs.validation import Floats, check_rows

FALSE_POSITIVE_RATES = (0.001, 0.01, 0.05)
"""Rates at which monitors are compared: 0.1, 1 and 5 %."""
ROUNDING = 1 + 1e-12
"""So that a share of 0.1 of 30 is 3, whatever its floating point."""


def recall_at(y: ArrayLike, scores: ArrayLike, false_positive_rate: float) -> Floats:
    """Return the largest recall of m scores whose false positive rate is at most the given one.

    The threshold is a score of these rows, so this describes the order of the scores, not a monitor in use: use
    `threshold_at` for that. It is ``max(tpr[fpr <= rate])`` of scikit-learn's ``roc_curve``.

    Parameters
    ----------
    y : (n,) array of -1 and +1
    scores : (n, m) array of any real dtype
        Decision values, one column for each score.
    false_positive_rate : float
        From 0 up to 1.

    Returns
    -------
    (m,) float64

    Raises
    ------
    ProbeError
        If a class is missing, the shapes do not fit, a score is not finite, or the rate is not between 0 and 1.
    """
    values, labels = check_rows(scores, y)
    _check_rate(false_positive_rate)
    hits, misses = values[labels > 0], values[labels < 0]
    n_allowed = allowed_alarms(len(misses), false_positive_rate)
    if n_allowed == len(misses):
        return np.ones(values.shape[1])
    # The largest negative that may raise no alarm: an alarm is a score above it.
    largest = np.partition(misses, len(misses) - 1 - n_allowed, axis=0)[len(misses) - 1 - n_allowed]
    return (hits > largest).mean(axis=0)


def partial_roc_auc(y: ArrayLike, scores: ArrayLike, largest_rate: float) -> Floats:
    """Return the area under the ROC curve of m scores up to a false positive rate, where .5 is chance and 1 the best.

    Parameters
    ----------
    y : (n,) array of -1 and +1
    scores : (n, m) array of any real dtype
        Decision values, one column for each score.
    largest_rate : float
        Above 0, at most 1. The curve is linear between its points, as in scikit-learn.

    Returns
    -------
    (m,) float64
        Equal to ``roc_auc_score(max_fpr=largest_rate)`` of scikit-learn.

    Raises
    ------
    ProbeError
        As `recall_at`.

    References
    ----------
    McClish, Analyzing a Portion of the ROC Curve (Medical Decision Making 1989): the scale from .5 to 1.
    """
    values, labels = check_rows(scores, y)
    _check_rate(largest_rate)
    if largest_rate == 0:
        raise ProbeError("The area up to a false positive rate of 0 is 0 for every score. Pass a rate above 0.")
    areas = np.empty(values.shape[1])
    positive = labels > 0
    for column, of_column in enumerate(values.T):
        # Points of the curve, one for each distinct score from the largest on, after the point (0, 0).
        order = np.argsort(-of_column, kind="stable")
        ends = np.append(np.flatnonzero(np.diff(of_column[order])), len(order) - 1)
        n_hits = np.cumsum(positive[order])[ends]
        tpr = np.append(0.0, n_hits / positive.sum())
        fpr = np.append(0.0, (ends + 1 - n_hits) / (~positive).sum())
        end = int(np.searchsorted(fpr, largest_rate, side="right"))  # the first point beyond the rate
        at_end = np.interp(largest_rate, fpr[end - 1 : end + 1], tpr[end - 1 : end + 1])
        area = np.trapezoid(np.append(tpr[:end], at_end), np.append(fpr[:end], largest_rate))
        lowest = largest_rate**2 / 2
        areas[column] = (1 + (area - lowest) / (largest_rate - lowest)) / 2 if largest_rate < 1 else area
    return areas


@dataclass(frozen=True)
class Threshold:
    """A threshold of a monitor; a score above it raises an alarm."""

    value: float
    origin: str
    """How it was set, in words: it is kept beside the threshold in a saved probe."""
    n_benign: int
    """Benign scores that set it."""
    n_alarms: int
    """Benign scores above it."""
    rate_high: float
    """Upper end of the 95 % interval of the rate of false alarms on texts like the benign ones, if they are
    independent."""
    is_resolved: bool
    """Whether there are enough benign scores for a single alarm among them to stay within the rate."""


def threshold_at(benign_scores: ArrayLike, false_positive_rate: float, benign_set: str, pooling: str = "") -> Threshold:
    """Return the lowest threshold that at most a share of benign scores is above.

    The benign scores must be of other texts than those that are reported: a threshold that was set on test rows
    always has the rate that was requested.

    Parameters
    ----------
    benign_scores : (n,) array
        Scores of texts that must not raise an alarm, pooled as those of the monitor.
    false_positive_rate : float
        From 0 to 1.
    benign_set : str
        Name of the benign texts, for ``origin``.
    pooling : str
        How the scores of tokens became those of texts, for ``origin``; empty: they were not pooled.

    Raises
    ------
    ProbeError
        When there are no scores, one is not finite, or the rate is not between 0 and 1.

    Examples
    --------
    >>> threshold_at([0.1, 0.4, 0.2, 0.3], 0.25, "four reviews").value
    0.3
    """
    scores = np.asarray(benign_scores, dtype=np.float64)
    _check_rate(false_positive_rate)
    if scores.ndim != 1 or len(scores) == 0 or not np.isfinite(scores).all():
        raise ProbeError(f"A threshold needs a vector of finite benign scores; got shape {scores.shape}.")
    n_allowed = min(allowed_alarms(len(scores), false_positive_rate), len(scores) - 1)
    value = float(np.sort(scores)[len(scores) - 1 - n_allowed])
    n_alarms = int(np.count_nonzero(scores > value))
    rate_high = float(betaincinv(n_alarms + 1, len(scores) - n_alarms, 0.975))  # Clopper and Pearson
    is_resolved = n_allowed >= 1
    origin = (
        f"at most {false_positive_rate:.3g} of the {len(scores):,} benign scores of {benign_set} are above it "
        f"({n_alarms} are; the rate on such texts is at most {rate_high:.2g}, with 95 % confidence)"
    )
    if pooling:
        origin += f"; the scores of their tokens were pooled: {pooling}"
    if not is_resolved:
        origin += f"; {resolution_note(len(scores), false_positive_rate)}"
    return Threshold(value, origin, len(scores), n_alarms, rate_high, is_resolved)


def allowed_alarms(n_negative: int, false_positive_rate: float) -> int:
    """Return how many of n negatives may raise an alarm."""
    return math.floor(n_negative * false_positive_rate * ROUNDING)


def resolution_note(n_negative: int, false_positive_rate: float) -> str:
    """Return what cannot be known of a false positive rate from so few negatives; empty where it can be measured.

    Examples
    --------
    >>> resolution_note(300, 0.001)
    'a rate of 0.001 cannot be measured with 300 negatives (at least 1,000 are needed): none may raise an alarm'
    """
    if allowed_alarms(n_negative, false_positive_rate) >= 1 or false_positive_rate == 0:
        return ""
    needed = math.ceil(1 / false_positive_rate * (1 - 1e-12))
    return (
        f"a rate of {false_positive_rate:.3g} cannot be measured with {n_negative:,} negatives "
        f"(at least {needed:,} are needed): none may raise an alarm"
    )


def _check_rate(rate: float) -> None:
    if not 0 <= rate <= 1:
        raise ProbeError(f"A false positive rate is a share between 0 and 1, not {rate}. One percent is 0.01.")
