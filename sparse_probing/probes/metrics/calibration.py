"""How far the probabilities of many logistic probes can be believed, and the correction of their intercepts.

A probe fitted with balanced class weights is miscalibrated by construction: it answers as if
both classes were equally frequent. Adding :func:`log_prior_odds` of the training labels to its
intercept undoes that.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit

from probing_datasets.foundation.errors import ProbeError
from sparse_probing.probes.validation import Floats, check_labels, check_rows, column_blocks


def log_prior_odds(y_train: ArrayLike) -> float:
    """Return what to add to the intercept of a probe that was fitted with balanced class weights.

    Weights n / (2 n_class) multiply the odds that a logistic model fits by n_negative / n_positive;
    the logarithm of the inverse, ``log(n_positive / n_negative)``, takes that back. Decision values
    then say log odds at the frequencies of the training rows, and 0 is no longer the threshold that
    balances the classes: use it for probabilities, not for predicted labels.

    Parameters
    ----------
    y_train : (n,) array of -1 and +1

    References
    ----------
    King and Zeng, Logistic Regression in Rare Events Data (Political Analysis 2001):
    prior correction.
    """
    labels = check_labels(y_train)
    n_positive = np.count_nonzero(labels > 0)
    return float(np.log(n_positive / (len(labels) - n_positive)))


def calibration_metrics(y: ArrayLike, scores: ArrayLike, n_bins: int = 15) -> dict[str, NDArray]:
    """Return the calibration of m probes on the same rows.

    Parameters
    ----------
    y : (n,) array of -1 and +1
    scores : (n, m) array
        Decision values, one column per probe; ``1 / (1 + exp(-score))`` is the probability of +1.
    n_bins : int
        Bins of equal width over that probability, each closed below, the last on both sides.

    Returns
    -------
    dict of (m,) float64 arrays
        ``brier_score``, the mean squared difference between probability and outcome; ``log_loss``
        in nats; ``expected_calibration_error``, the difference between mean probability and share
        of positives in a bin, averaged over bins by their number of rows.

    Raises
    ------
    ProbeError
        If a class is missing, the shapes do not fit, a score is not finite, or ``n_bins`` is below 1.

    References
    ----------
    Naeini, Cooper and Hauskrecht, Obtaining Well Calibrated Probabilities Using Bayesian Binning
    (AAAI 2015); Guo et al., On Calibration of Modern Neural Networks (ICML 2017), equation 3, here
    for the probability of the positive class instead of the confidence in the predicted one.
    """
    scores, labels = check_rows(scores, y)
    if n_bins < 1:
        raise ProbeError(f"Cannot put probabilities into {n_bins} bins. Choose at least 1.")
    blocks = [_of_block(labels, block, n_bins) for _, block in column_blocks(scores)]
    brier, loss, error = np.concatenate(blocks, axis=1)
    return {"brier_score": brier, "log_loss": loss, "expected_calibration_error": error}


def _of_block(labels: Floats, scores: Floats, n_bins: int) -> Floats:
    """Return the three metrics (3, b) of a block of scores (b, n)."""
    probability = expit(scores)
    excess = probability - (labels > 0)
    loss = np.logaddexp(0, -labels * scores).mean(axis=1)
    return np.stack([(excess**2).mean(axis=1), loss, _binned_excess(probability, excess, n_bins)])


def _binned_excess(probability: Floats, excess: Floats, n_bins: int) -> Floats:
    """Return the expected calibration error (b,): in every bin the sizes cancel, and sums of excess remain."""
    b, n = probability.shape
    bins = np.minimum((probability * n_bins).astype(np.int64), n_bins - 1) + n_bins * np.arange(b)[:, None]
    sums = np.bincount(bins.ravel(), weights=excess.ravel(), minlength=b * n_bins)
    return np.abs(sums.reshape(b, n_bins)).sum(axis=1) / n
