"""Calibration of the probabilities of many logistic probes, and the correction of their intercepts.

A probe that is fitted with balanced class weights is miscalibrated by construction: its
probabilities are those of equally frequent classes. :func:`log_prior_odds` of the training labels,
added to its intercept, corrects that.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit

from probing_datasets.foundation.errors import ProbeError
from sparse_probing.probes.inputs.blocks import column_blocks
from sparse_probing.probes.inputs.validation import check_labels, check_rows


def log_prior_odds(y_train: ArrayLike) -> float:
    """Return what to add to the intercept of a probe that was fitted with balanced class weights.

    Weights n / (2 n_class) multiply the odds that a logistic model fits by n_negative / n_positive;
    the logarithm of the inverse, ``log(n_positive / n_negative)``, removes that factor. Decision
    values are then log odds at the frequencies of the training rows, and 0 is no longer the
    threshold that balances the classes: use the correction for probabilities, not for predicted labels.

    Parameters
    ----------
    y_train : (n,) array of -1 and +1

    Raises
    ------
    ProbeError
        If :func:`sparse_probing.probes.inputs.validation.check_labels` refuses ``y_train``.

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
        Bins of equal width over that probability; each includes its lower end, the last both ends.

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
        raise ProbeError(f"Cannot put probabilities into {n_bins} bins. Choose 1 or more.")
    blocks = []
    for _, block in column_blocks(scores):
        probability = expit(block)
        excess = probability - (labels > 0)
        brier = (excess**2).mean(axis=1)
        loss = np.logaddexp(0, -labels * block).mean(axis=1)
        # In the expected calibration error the sizes of the bins cancel: sums of excess remain.
        b, n = block.shape
        bins = np.minimum((probability * n_bins).astype(np.int64), n_bins - 1) + n_bins * np.arange(b)[:, None]
        sums = np.bincount(bins.ravel(), weights=excess.ravel(), minlength=b * n_bins)
        blocks.append([brier, loss, np.abs(sums.reshape(b, n_bins)).sum(axis=1) / n])
    brier, loss, error = np.concatenate(blocks, axis=1)
    return {"brier_score": brier, "log_loss": loss, "expected_calibration_error": error}
