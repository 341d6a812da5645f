"""One temperature for the probabilities of a probe, and how reliable they are before and after."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize_scalar
from scipy.special import expit, log_softmax, softmax

from probing_datasets.foundation.errors import ProbeError
from sparse_probing.probes.inputs.validation import Floats, Integers

LARGEST_EXPONENT = 8.0
"""Temperatures are searched from exp(-8) to exp(8)."""
N_BINS = 15


def log_loss(scores: Floats, codes: Integers, temperature: float = 1.0, prior: ArrayLike = 0.0) -> float:
    """Return the mean log loss, in nats, of probabilities of ``scores / temperature + prior``.

    Parameters
    ----------
    scores : (n, K) array
        Of K classes (softmax), or of one (sigmoid; code 1 is that class).
    codes : (n,) array of int
        Class of every row.
    temperature : float
    prior : (K,) array
    """
    logits = scores / temperature + np.asarray(prior)
    if scores.shape[1] == 1:
        return float(np.logaddexp(0, np.where(codes == 1, -1, 1) * logits[:, 0]).mean())
    return float(-log_softmax(logits, axis=1)[np.arange(len(codes)), codes].mean())


def fit_temperature(scores: ArrayLike, codes: ArrayLike, prior: ArrayLike = 0.0) -> float:
    """Return the temperature with the smallest log loss of scores of rows that the probe was not fitted to.

    Labels are smoothed: of n rows each counts as ``(n + 1) / (n + 2)`` of its class, and the other classes share the
    rest. Where every row is right the best temperature would otherwise be 0, and every prediction certain.

    Parameters
    ----------
    scores : (n, K) array
        Of K classes, whose probabilities are the softmax of ``scores / temperature + prior``, or of one class, whose
        probability is the sigmoid.
    codes : (n,) array of int
        Class of every row, from 0 to K - 1; of one class 0 or 1.
    prior : (K,) array
        Log frequencies or log odds of the classes, for scores of classes with equal frequencies.

    Returns
    -------
    float
        Where scores say nothing of the class the best temperature is infinite; the largest that is searched is then
        about 3,000 times the root mean square of the scores.

    Raises
    ------
    ProbeError
        If the shapes do not fit, or a score is not finite.

    References
    ----------
    Guo et al., On Calibration of Modern Neural Networks (ICML 2017), section 4.2; Platt, Probabilistic Outputs for
    Support Vector Machines (1999), section 2.2, smooths labels by class, for one slope and one intercept.
    """
    scores, codes = _checked(scores, codes)
    scale = float(np.sqrt(np.square(scores).mean())) or 1.0
    n_classes = max(scores.shape[1], 2)
    is_class = codes[:, None] == np.arange(n_classes)
    label = np.where(is_class, len(codes) + 1, 1 / (n_classes - 1)) / (len(codes) + 2)

    def smoothed_loss(exponent: float) -> float:
        logits = scores / (scale * np.exp(exponent)) + prior
        if scores.shape[1] == 1:
            logits = np.hstack([np.zeros_like(logits), logits])  # the softmax of 0 and a score is its sigmoid
        return float(-(label * log_softmax(logits, axis=1)).sum(axis=1).mean())

    best = minimize_scalar(
        smoothed_loss,
        bounds=(-LARGEST_EXPONENT, LARGEST_EXPONENT),
        method="bounded",
        options={"xatol": 1e-6},
    )
    return float(scale * np.exp(best.x))


@dataclass(frozen=True)
class Reliability:
    """How often predictions of about the same confidence are right."""

    n: Integers
    """(b,) rows of every bin of the confidence; bins have equal widths from 0 to 1."""
    confidence: Floats
    """(b,) sum of their confidences."""
    right: Floats
    """(b,) how many are right."""

    @property
    def error(self) -> float:
        """The expected calibration error: the difference of mean confidence and share of right rows, over all bins."""
        return float(np.abs(self.confidence - self.right).sum() / self.n.sum())


def reliability(confidence: ArrayLike, right: ArrayLike, n_bins: int = N_BINS) -> Reliability:
    """Count confidences of predictions, and how many are right.

    Parameters
    ----------
    confidence : (n,) array
        Probability of the predicted class, from 0 to 1.
    right : (n,) array of bool
        Whether the row has that class.
    n_bins : int

    References
    ----------
    Guo et al. (2017), equation 3.
    """
    confidence, right = np.asarray(confidence, np.float64), np.asarray(right, bool)
    if confidence.shape != right.shape or confidence.ndim != 1 or n_bins < 1 or not len(right):
        raise ProbeError(f"Confidences {confidence.shape} and hits {right.shape} must be vectors of one length.")
    bins = np.minimum((confidence * n_bins).astype(np.int64), n_bins - 1)
    return Reliability(
        np.bincount(bins, minlength=n_bins),
        np.bincount(bins, weights=confidence, minlength=n_bins).astype(np.float64),
        np.bincount(bins, weights=right, minlength=n_bins).astype(np.float64),
    )


def confidences(scores: ArrayLike, temperature: float | None) -> tuple[Integers, Floats]:
    """Return the predicted class of every row, and its probability.

    Parameters
    ----------
    scores : (n, K) array
    temperature : float or None
        None: the sigmoid of the score of that class, as a probe of one class against the others has it.

    Returns
    -------
    predicted : (n,) int64
        From 0 to K - 1; of one class 1 where its score is above 0.
    confidence : (n,) float64
    """
    scores = np.asarray(scores, np.float64)
    if scores.shape[1] == 1:
        predicted = (scores[:, 0] > 0).astype(np.int64)
        return predicted, expit(np.abs(scores[:, 0]) / (1.0 if temperature is None else temperature))
    predicted = scores.argmax(axis=1)
    chance = expit(scores) if temperature is None else softmax(scores / temperature, axis=1)
    return predicted, chance[np.arange(len(predicted)), predicted]


def _checked(scores: ArrayLike, codes: ArrayLike) -> tuple[Floats, NDArray[np.int64]]:
    values, classes = np.asarray(scores, np.float64), np.asarray(codes)
    n_classes = max(values.shape[1], 2) if values.ndim == 2 and values.size else 0
    if classes.shape != (len(values),) or not n_classes or classes.min() < 0 or classes.max() >= n_classes:
        raise ProbeError(f"Scores {values.shape} and classes {classes.shape} must be (n, classes) and (n,).")
    if not np.isfinite(values).all():
        raise ProbeError("A score is not finite. Check the probe behind it.")
    return values, classes.astype(np.int64)
