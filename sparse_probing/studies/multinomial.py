"""Features of several classes: softmax and one-vs-rest probes of the k best-ranked neurons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sparse_probing.config import ProbingConfig
from sparse_probing.probes.inputs.validation import Floats, check_activations
from sparse_probing.probes.l2.held_out_scores import nested_held_out_scores
from sparse_probing.probes.l2.logistic import LogisticFit, fit_nested_top_k
from sparse_probing.probes.l2.multinomial import fit_multinomial
from sparse_probing.probes.metrics.multiclass import MulticlassMetrics, mean_roc_auc, multiclass_metrics
from sparse_probing.probes.metrics.temperature import log_loss
from sparse_probing.probes.splits.grouped_split import Split
from sparse_probing.studies.base.choose_regularization import choose_regularization
from sparse_probing.studies.base.feature_data import FeatureData, SelectedNeurons
from sparse_probing.studies.base.result_rows import FittedProbe

REPORTED = (
    "accuracy",
    "balanced_accuracy",
    "mcc",
    "macro_f1_score",
    "weighted_f1_score",
    "macro_precision",
    "macro_recall",
)


@dataclass(frozen=True)
class ClassProbe:
    """One linear function per class."""

    name: str
    coef: Floats
    """(classes, k)"""
    intercept: Floats
    """(classes,)"""
    objective: float
    iterations: int
    converged: bool
    status: str
    further: Mapping[str, float]
    """How far it is from its optimum."""


def fit(config: ProbingConfig, data: FeatureData) -> list[FittedProbe]:
    """Fit both probes for every k; coefficients are given for each class in turn."""
    ranking = config.search.heuristic_feature_selection_method
    ks = config.search.sparsity_levels(data.width)
    neurons = data.select(data.top(ranking, ks[-1]))
    classes = np.unique(neurons.y_train)
    of_class = [np.where(neurons.y_train == c, 1.0, -1.0) for c in classes]

    def held_out(x: NDArray, _y: Floats, folds: Sequence[Split], Cs: Sequence[float]) -> Floats:
        return np.stack([nested_held_out_scores(x, y, ks, folds, Cs) for y in of_class], axis=-1)

    # One C for both probes of k neurons: that of the one-vs-rest probes, which are cheap to compare.
    choice = choose_regularization(config, data, neurons, held_out, len(ks))
    C_of = dict(zip(ks, choice.values, strict=True))
    one_vs_rest: list[dict[int, LogisticFit]] = [{} for _ in classes]
    for C in sorted(set(choice.values)):
        own_ks = [k for k in ks if C_of[k] == C]
        for fits, y in zip(one_vs_rest, of_class, strict=True):
            fits |= fit_nested_top_k(neurons.x_train, y, own_ks, C=C)
    probes = []
    for k in ks:
        softmax = fit_multinomial(neurons.x_train[:, :k], neurons.y_train, C=C_of[k])
        multinomial = ClassProbe(
            "multinomial",
            softmax.coef,
            softmax.intercept,
            softmax.objective,
            softmax.iterations,
            softmax.converged,
            softmax.status,
            {"duality_gap": softmax.gap},
        )
        for probe in (multinomial, _together([fits[k] for fits in one_vs_rest])):
            further = {**probe.further, "regularization": C_of[k], "density": k / data.width}
            probe = replace(probe, status=choice.status(probe.status), further=further)
            probes.append(_fitted(neurons, k, probe, ranking))
    return probes


def _together(fits: list[LogisticFit]) -> ClassProbe:
    """Return the probes of all classes as one; its convergence is that of the probe furthest from its optimum."""
    worst = max(fits, key=lambda fit: fit.decrement)
    return ClassProbe(
        "one_vs_rest",
        np.stack([fit.coef for fit in fits]),
        np.array([fit.intercept for fit in fits]),
        sum(fit.objective for fit in fits),
        max(fit.iterations for fit in fits),
        worst.converged,
        worst.status,
        {"newton_decrement": worst.decrement},
    )


def _fitted(neurons: SelectedNeurons, k: int, probe: ClassProbe, ranking: str) -> FittedProbe:
    """Measure a probe of the first k neurons, and return it with coefficients for stored activations."""
    classes = np.unique(neurons.y_train)

    def measure(x: NDArray, y: NDArray) -> MulticlassMetrics:
        scores = x[:, :k] @ probe.coef.T + probe.intercept
        return multiclass_metrics(np.searchsorted(classes, y), check_activations(scores))

    train, test = measure(neurons.x_train, neurons.y_train), measure(neurons.x_test, neurons.y_test)
    metrics = {f"train_{name}": getattr(train, name) for name in REPORTED}
    metrics |= {f"test_{name}": getattr(test, name) for name in REPORTED}
    scores, codes = neurons.x_test[:, :k] @ probe.coef.T + probe.intercept, np.searchsorted(classes, neurons.y_test)
    metrics["test_roc_auc"] = mean_roc_auc(codes, scores)
    if probe.name == "multinomial":  # probabilities, unlike predictions, are corrected for balanced class weights
        frequencies = np.bincount(np.searchsorted(classes, neurons.y_train)) / len(neurons.y_train)
        metrics["test_log_loss"] = log_loss(scores + np.log(frequencies), codes)
    coef, intercepts = probe.coef, probe.intercept
    if neurons.scale is not None:
        coef, intercepts = neurons.scale.undo(np.arange(k), coef, intercepts)
    return FittedProbe(
        probe.name,
        neurons.indices[:k],
        coef.ravel(),
        None,
        objective=probe.objective,
        iterations=probe.iterations,
        converged=probe.converged,
        status=probe.status,
        ranking=ranking,
        metrics=metrics,
        further={
            **probe.further,
            "classes": classes,
            "class_intercepts": intercepts,
            "test_confusion": test.confusion.ravel(),
        },
    )
