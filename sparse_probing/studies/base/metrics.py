"""The metrics that studies report, by kind of feature."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sparse_probing.probes.inputs.validation import Floats
from sparse_probing.probes.metrics.calibration import calibration_metrics, log_prior_odds
from sparse_probing.probes.metrics.classification import AREA_METRICS, classification_metrics
from sparse_probing.probes.metrics.regression import regression_metrics
from sparse_probing.studies.base.feature_data import Metrics, MetricTable
from sparse_probing.studies.base.result_rows import CALIBRATION, METRICS, REGRESSION_METRICS

OF_TRAINING_ROWS = tuple(name for name in METRICS if name not in AREA_METRICS or name == "roc_auc")


def classification(y_train: Floats) -> Metrics:
    """Return the function that measures binary probes with balanced class weights.

    Probabilities, unlike predictions, are corrected for those weights.

    Parameters
    ----------
    y_train : (n_train,) array of -1/+1
        Labels of the training rows.
    """
    prior = log_prior_odds(y_train)

    def measure(y: NDArray, scores: NDArray) -> MetricTable:
        values = classification_metrics(y, scores) | calibration_metrics(y, scores + prior)
        return {name: values[name] for name in (*METRICS, *CALIBRATION)}

    return measure


def classification_of_training_rows(y_train: Floats) -> Metrics:
    """Return the function that measures thousands of binary probes on the rows that they were fitted to.

    It omits what takes most of the time and ranks nothing: the areas under precision-recall curves, and calibration.
    """
    prior = log_prior_odds(y_train)

    def measure(y: NDArray, scores: NDArray) -> MetricTable:
        losses = np.logaddexp(0, -y[:, None] * (scores + prior)).mean(axis=0)
        return {**classification_metrics(y, scores, only=OF_TRAINING_ROWS), "log_loss": losses}

    return measure


def classification_without_probabilities(y: NDArray, scores: NDArray) -> MetricTable:
    """Return the metrics of decision values that are not log odds."""
    return classification_metrics(y, scores, only=METRICS)


def regression(y: NDArray, predictions: NDArray) -> MetricTable:
    """Return the metrics of probes of real numbers."""
    values = regression_metrics(y, predictions)
    return {name: values[name] for name in REGRESSION_METRICS}
