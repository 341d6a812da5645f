"""Features of several classes: softmax and one-vs-rest probes of the k best-ranked neurons."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sparse_probing.config import ProbingConfig
from sparse_probing.probes.l2.logistic import LogisticFit, fit_nested_top_k
from sparse_probing.probes.l2.multinomial import fit_multinomial
from sparse_probing.probes.metrics.multiclass import MulticlassMetrics, multiclass_metrics
from sparse_probing.probes.validation import Floats, check_activations
from sparse_probing.results import FittedProbe
from sparse_probing.studies.base.problem import Columns, Problem
from sparse_probing.studies.base.sparsity_levels import sparsity_levels

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

    def scores(self, x: NDArray) -> Floats:
        """Return decision values (n, classes) of neurons (n, k)."""
        return x @ self.coef.T + self.intercept


def fit(config: ProbingConfig, problem: Problem) -> list[FittedProbe]:
    """Fit both probes for every k; coefficients are given for each class in turn."""
    ranking = config.search.heuristic_feature_selection_method
    ks = sparsity_levels(config, problem.width)
    data = problem.columns(problem.top(ranking, ks[-1]))
    rest = _one_vs_rest(data, ks, config.fit.regularization)
    both = [(k, probe) for k in ks for probe in (_softmax(data, k, config.fit.regularization), rest[k])]
    return [_fitted(data, k, probe, ranking) for k, probe in both]


def _softmax(data: Columns, k: int, C: float) -> ClassProbe:
    fit = fit_multinomial(data.x_train[:, :k], data.y_train, C=C)
    gap = {"duality_gap": fit.gap}
    return ClassProbe(
        "multinomial", fit.coef, fit.intercept, fit.objective, fit.iterations, fit.converged, fit.status, gap
    )


def _one_vs_rest(data: Columns, ks: list[int], C: float) -> dict[int, ClassProbe]:
    labels = [np.where(data.y_train == c, 1.0, -1.0) for c in np.unique(data.y_train)]
    of_class = [fit_nested_top_k(data.x_train, y, ks, C=C) for y in labels]
    return {k: _together([fits[k] for fits in of_class]) for k in ks}


def _together(fits: list[LogisticFit]) -> ClassProbe:
    """Return the probes of all classes; the one that is furthest from its optimum speaks for them."""
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


def _fitted(data: Columns, k: int, probe: ClassProbe, ranking: str) -> FittedProbe:
    classes = np.unique(data.y_train)
    train = _measure(classes, data.y_train, probe.scores(data.x_train[:, :k]))
    test = _measure(classes, data.y_test, probe.scores(data.x_test[:, :k]))
    metrics = {
        f"{side}_{name}": getattr(m, name) for side, m in (("train", train), ("test", test)) for name in REPORTED
    }
    coef, intercepts = _on_stored_scale(data, probe)
    return FittedProbe(
        probe.name,
        data.neurons[:k],
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


def _measure(classes: NDArray, y: NDArray, scores: Floats) -> MulticlassMetrics:
    return multiclass_metrics(np.searchsorted(classes, y), check_activations(scores))


def _on_stored_scale(data: Columns, probe: ClassProbe) -> tuple[Floats, Floats]:
    """Return coefficients (classes, k) and intercepts (classes,) for activations as they are stored."""
    if data.scale is None:
        return probe.coef, probe.intercept
    k = probe.coef.shape[1]
    coef = probe.coef / data.scale.deviation[:k]
    return coef, probe.intercept - coef @ data.scale.mean[:k]
