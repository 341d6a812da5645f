"""The metrics that studies report, by kind of feature."""

from __future__ import annotations

from numpy.typing import NDArray

from sparse_probing.probes.metrics.calibration import calibration_metrics, log_prior_odds
from sparse_probing.probes.metrics.classification import classification_metrics
from sparse_probing.probes.metrics.regression import regression_metrics
from sparse_probing.results import CALIBRATION, METRICS, REGRESSION_METRICS
from sparse_probing.studies.base.problem import Columns, Metrics

AREAS = ("roc_auc", "average_precision")
THRESHOLD_METRICS = tuple(name for name in METRICS if name not in AREAS)


def classification(data: Columns) -> Metrics:
    """Return how binary probes with balanced class weights are measured.

    Probabilities, unlike predictions, are corrected for those weights.
    """
    prior = log_prior_odds(data.y_train)

    def measure(y: NDArray, scores: NDArray) -> dict[str, NDArray]:
        values = classification_metrics(y, scores) | calibration_metrics(y, scores + prior)
        return {name: values[name] for name in (*METRICS, *CALIBRATION)}

    return measure


def without_areas(y: NDArray, scores: NDArray) -> dict[str, NDArray]:
    """Return the metrics that need no sorting, which is most of the cost for thousands of probes."""
    return classification_metrics(y, scores, only=THRESHOLD_METRICS)


def regression(_data: Columns) -> Metrics:
    """Return how probes of real numbers are measured."""

    def measure(y: NDArray, predictions: NDArray) -> dict[str, NDArray]:
        values = regression_metrics(y, predictions)
        return {name: values[name] for name in REGRESSION_METRICS}

    return measure
