"""The result rows of probes that a streaming learner trained, from their scores on test rows."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from probing_datasets.foundation.errors import ProbeError
from sparse_probing.online.learners.attention import AttentionFit
from sparse_probing.online.learners.label_sets import LabelSet, OnlineFit
from sparse_probing.online.places import Place
from sparse_probing.online.prepare import PreparedOnline
from sparse_probing.online.streaming.label_matrix import LabelMatrix
from sparse_probing.probes.inference.roc_auc_inference import roc_inference
from sparse_probing.probes.inputs.validation import Floats, Integers
from sparse_probing.probes.l2.logistic import fit_dense
from sparse_probing.probes.metrics.multiclass import mean_roc_auc, multiclass_metrics
from sparse_probing.probes.metrics.temperature import fit_temperature, log_loss
from sparse_probing.saved_probes.from_run import balanced_prior
from sparse_probing.studies.base.metrics import classification_without_probabilities, regression
from sparse_probing.studies.base.probe_row import columns_of_run
from sparse_probing.studies.multinomial import REPORTED

PROBES = {
    "moments": {"binary": "discriminant", "multiclass": "discriminant", "regression": "ridge"},
    "adamw": {"binary": "logistic", "multiclass": "multinomial", "regression": "ridge"},
}
"""Kind of probe in the result rows, by learner and kind of label set."""


@dataclass(frozen=True)
class Scored:
    """Labels and scores of the rows of one part that have a label of a set."""

    labels: Floats
    """(n,)"""
    scores: Floats
    """(n, outputs)"""
    groups: Integers
    """(n,)"""

    @property
    def codes(self) -> Integers:
        """(n,) class numbers; of a binary set 1 is the positive class."""
        return (self.labels > 0).astype(np.int64) if self.scores.shape[1] == 1 else self.labels.astype(np.int64)


def balanced_threshold(scores: Floats, codes: Integers) -> float:
    """Return the score at which two classes that weigh the same are as likely, of validation rows.

    It is that of a logistic regression of the class on the score; 0 where the rows have one class, or the score does
    not rise with the positive class.

    Parameters
    ----------
    scores : (n,) array
    codes : (n,) array of int
        1 is the positive class.
    """
    scores, signs = scores.astype(np.float64), np.where(codes == 1, 1.0, -1.0)
    deviation = scores.std() if len(scores) else 0.0
    if deviation == 0 or np.ptp(signs) == 0:
        return 0.0
    fit = fit_dense((scores[:, None] - scores.mean()) / deviation, signs)
    return float(scores.mean() - deviation * fit.intercept / fit.coef[0]) if fit.coef[0] > 0 else 0.0


def stream_row(
    prepared: PreparedOnline,
    matrix: LabelMatrix,
    place: Place,
    number: int,
    fit: OnlineFit | AttentionFit,
    train_labels: Floats,
    validation: Scored,
    test: Scored,
) -> dict[str, Any]:
    """Return the result row of a probe.

    Parameters
    ----------
    prepared : PreparedOnline
    matrix : LabelMatrix
    place : Place
    number : int
        Of the label set.
    fit : OnlineFit or AttentionFit
    train_labels : (n_train,) array
        Labels of the training rows, without nulls.
    validation, test : Scored
    """
    config, each = prepared.config, matrix.label_sets[number]
    is_control = number >= matrix.n_sets
    feature = matrix.label_sets[number - matrix.n_sets].name if is_control else each.name
    row = {
        **columns_of_run(config.experiment_name, config.activations),
        "study": f"online_{config.learner}",
        "feature": feature,
        "layer": place.location.layer,
        "hook_point": place.location.hook_point,
        "aggregation": place.pooling,
        "control": "shuffled_labels" if is_control else "",
        "basis": "neurons",
        "trial": 0,
        "fold": 0,
        "ranking": "",
        "probe": "attention" if isinstance(fit, AttentionFit) else PROBES[config.learner][each.kind],
        "rank": 0,
        "k": place.location.width,
        "scaling": config.fit.scaling_of_neurons,
        "n_train": len(train_labels),
        "n_validation": len(validation.labels),
        "n_test": len(test.labels),
        "support": np.arange(place.location.width),
        "coef": (fit.values if isinstance(fit, AttentionFit) else fit.coef).ravel(),
        "query": fit.queries.ravel() if isinstance(fit, AttentionFit) else None,
        "intercept": None if each.kind == "multiclass" else float(fit.intercept[0]),
        "regularization": fit.regularization,
        "density": 1.0,
        "converged": fit.converged,
        "status": fit.status,
    }
    counts = np.unique(train_labels, return_counts=True)[1].tolist()
    if each.kind == "multiclass":
        row |= {
            "n_train_of_classes": counts,
            "classes": matrix.class_numbers[feature],
            "class_names": list(each.classes),
            "class_intercepts": fit.intercept,
        }
    if each.kind == "binary":
        row |= {"n_positive_train": int((train_labels > 0).sum()), "n_positive_test": int((test.labels > 0).sum())}
    loss = 0.0
    if each.kind != "regression":
        prior, temperature = _probabilities(each, counts, validation)
        row |= {"temperature": temperature, "class_weight": "balanced"}
        loss = log_loss(test.scores, test.codes, temperature, prior)
    metrics = _metrics(each, test, loss, config.statistics.confidence)
    return row | {f"test_{name}": value for name, value in metrics.items()}


def _probabilities(each: LabelSet, counts: list[int], validation: Scored) -> tuple[Floats, float]:
    """Return prior and temperature of scores of classes that weigh the same, from the counts of the training rows."""
    is_binary = each.kind == "binary"
    # The positive class is first.
    of_classes = {"1": counts[1], "-1": counts[0]} if is_binary else dict(zip(each.classes, counts, strict=True))
    prior = balanced_prior("sigmoid" if is_binary else "softmax", each.kind, of_classes)
    return prior, fit_temperature(validation.scores, validation.codes, prior) if len(validation.labels) else 1.0


def _metrics(each: LabelSet, test: Scored, loss: float, confidence: float) -> dict[str, Any]:
    if each.kind == "regression":
        return _first(regression(test.labels, test.scores))
    if each.kind == "multiclass":
        measured = multiclass_metrics(test.codes, test.scores)
        values = {name: getattr(measured, name) for name in REPORTED}
        area = mean_roc_auc(test.codes, test.scores)
        return {**values, "roc_auc": area, "log_loss": loss, "confusion": measured.confusion.ravel()}
    values = {**_first(classification_without_probabilities(test.labels, test.scores)), "log_loss": loss}
    with contextlib.suppress(ProbeError):  # too few groups: no interval
        areas = roc_inference(test.labels, test.scores, test.groups, confidence)
        values |= {"roc_auc_low": float(areas.low[0]), "roc_auc_high": float(areas.high[0])}
    return values


def _first(table: dict[str, NDArray]) -> dict[str, float]:
    return {name: float(values[0]) for name, values in table.items()}
