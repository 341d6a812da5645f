"""Reading probes: one-vs-rest probes of all neurons, chosen on validation groups and reported on test groups.

Groups are in three parts. Probes are fitted to training rows; C or the epoch, and the temperature, are chosen on
validation rows, and so is the layer when a run is reported; test rows choose nothing. The mean and deviation of neurons
are those of the training rows.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from sparse_probing.config import ProbingConfig
from sparse_probing.probes.inference.share_interval import counted_share, group_counts
from sparse_probing.probes.inputs.validation import Floats, Integers
from sparse_probing.probes.metrics.calibration import calibration_metrics
from sparse_probing.probes.metrics.classification import classification_metrics
from sparse_probing.probes.metrics.multiclass import multiclass_metrics
from sparse_probing.probes.metrics.ordered_classes import quadratic_kappa, step_error
from sparse_probing.probes.metrics.temperature import confidences, fit_temperature, log_loss, reliability
from sparse_probing.probes.monitor_intervals import class_monitor_metrics
from sparse_probing.studies.base.feature_data import FeatureData
from sparse_probing.studies.base.result_rows import CALIBRATION, METRICS, FittedProbe
from sparse_probing.studies.multinomial import REPORTED
from sparse_probing.studies.reading.candidates import (
    CLOSED_FORMS,
    Candidate,
    accuracy,
    by_adam,
    closed_forms,
    converged,
)
from sparse_probing.studies.reading.three_parts import ReadingData, default_scaling, divide

__all__ = ["default_scaling", "fit"]

NO_WRONG_ROW = "No validation row is wrong, so how confident the probabilities may be is not known from them."


def fit(config: ProbingConfig, data: FeatureData) -> list[FittedProbe]:
    """Fit the probe of the solver, and the two directions with a closed form."""
    reading = divide(config, data)
    fitted = by_adam(config, reading) if config.reading.solver == "adam" else converged(config, reading)
    return [measured(config, data, reading, probe) for probe in (fitted, *closed_forms(reading))]


def measured(config: ProbingConfig, data: FeatureData, reading: ReadingData, probe: Candidate) -> FittedProbe:
    """Fit the temperature of a probe on validation rows, measure it on test rows, and return it for stored activations.

    Adam's probe keeps the coefficients after its last epoch too.
    """
    train, validation, test = (
        part.x.astype(np.float64) @ probe.coef.T + probe.intercept
        for part in (reading.train, reading.validation, reading.test)
    )
    codes = reading.validation.codes
    temperature, validation_accuracy = fit_temperature(validation, codes), accuracy(validation, codes)
    further = {
        **probe.further,
        **on_test_rows(config, reading, test, temperature),
        "temperature": temperature,
        "n_train": len(reading.train.codes),
        "n_validation": len(codes),
        "validation_accuracy": validation_accuracy,
        "validation_log_loss": log_loss(validation, codes, temperature),
        "density": 1.0,
        "chosen": probe.name not in CLOSED_FORMS,
    }
    if probe.name not in CLOSED_FORMS and data.variant.control is None:
        further |= monitor_columns(config, data, reading, test)
    parts = (("train", train, reading.train.codes), ("test", test, reading.test.codes))
    of_part = binary_metrics if reading.is_binary else multiclass
    metrics = {
        f"{n}_{name}": value for n, scores, y in parts for name, value in of_part(scores, y, temperature).items()
    }
    stored = [(probe.coef, probe.intercept)]
    if "last_coef" in probe.further:
        stored.append((probe.further["last_coef"], probe.further["last_intercepts"]))
    if reading.scale is not None:
        stored = [reading.scale.undo(np.arange(data.width), *pair) for pair in stored]
    coef, intercept = stored[0]
    if len(stored) > 1:
        further |= {"last_coef": stored[1][0].ravel(), "last_intercepts": stored[1][1]}
    if reading.is_binary:
        further["n_positive_train"] = int(reading.train.codes.sum())
    else:
        further |= {"classes": reading.numbers, "class_intercepts": intercept}
    loss = log_loss(train, reading.train.codes, temperature)
    return FittedProbe(
        probe.name,
        np.arange(data.width),
        coef.ravel(),
        float(intercept[0]) if reading.is_binary else None,
        objective=probe.objective if np.isfinite(probe.objective) else loss,
        iterations=probe.iterations,
        converged=probe.converged,
        status=f"{probe.status} {NO_WRONG_ROW}" if validation_accuracy == 1 else probe.status,
        metrics=metrics,
        further=further,
    )


def on_test_rows(config: ProbingConfig, reading: ReadingData, scores: Floats, temperature: float) -> dict[str, Any]:
    """Return the columns of test rows with scores (n, K): reliability, accuracy with interval, confusion, steps."""
    columns: dict[str, Any] = {}
    for time, value in (("", temperature), ("_before", None)):
        predicted, confidence = confidences(scores, value)
        table = reliability(confidence, predicted == reading.test.codes)
        columns |= {
            f"test_confidence_error{time}": table.error,
            f"test_reliability{time}": np.concatenate([table.n, table.confidence, table.right]),
        }
    predicted, _ = confidences(scores, temperature)
    counts, n_classes = group_counts(predicted == reading.test.codes, reading.test.group), len(reading.numbers)
    _, low, high = counted_share([counts], config.statistics.confidence)
    confusion = np.bincount(reading.test.codes * n_classes + predicted, minlength=n_classes**2)
    columns |= {"test_accuracy_low": low, "test_accuracy_high": high}
    columns |= {"test_group_counts": counts.ravel(), "test_confusion": confusion}
    if reading.order is not None:
        place = np.argsort(reading.order)
        ordered = confusion.reshape(n_classes, n_classes)[np.ix_(place, place)]
        columns |= {"test_step_error": step_error(ordered), "test_quadratic_kappa": quadratic_kappa(ordered)}
    return columns


def monitor_columns(
    config: ProbingConfig, data: FeatureData, reading: ReadingData, scores: Floats
) -> dict[str, Floats]:
    """Return recall and partial ROC-AUC at few false positives of the score of each class against the others."""
    metrics = class_monitor_metrics(
        reading.targets(reading.test), scores, reading.test.group, data.rng("monitor"), config.statistics.confidence
    )
    return {
        f"test_monitor_{name}{end}": getattr(metrics, field)[:, :, i].ravel()
        for i, name in enumerate(("recall", "partial_roc_auc"))
        for end, field in (("", "value"), ("_low", "low"), ("_high", "high"))
    }


def multiclass(scores: Floats, codes: Integers, _temperature: float) -> dict[str, float]:
    """Return the metrics of scores (n, K), with the area under the ROC curve averaged over the classes."""
    values = multiclass_metrics(codes, scores)
    areas = [
        classification_metrics(np.where(codes == k, 1.0, -1.0), scores[:, [k]], only=("roc_auc",))["roc_auc"][0]
        for k in np.unique(codes)
    ]
    return {name: getattr(values, name) for name in REPORTED} | {"roc_auc": float(np.mean(areas))}


def binary_metrics(scores: Floats, codes: Integers, temperature: float) -> dict[str, float]:
    """Return the metrics of scores (n, 1), with those of probabilities after the temperature."""
    y = np.where(codes == 1, 1.0, -1.0)
    values = classification_metrics(y, scores) | calibration_metrics(y, scores / temperature)
    return {name: float(values[name][0]) for name in (*METRICS, *CALIBRATION)}
