"""From the support that a search found to the rows of its probes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from probing_datasets.foundation.errors import ProbeError
from sparse_probing.probes.inference.group_bootstrap import group_bootstrap
from sparse_probing.probes.inference.roc_auc_interval import roc_inference
from sparse_probing.probes.l2.logistic import fit_nested_top_k, nested_scores
from sparse_probing.probes.metrics.classification import classification_metrics
from sparse_probing.probes.optimal.problem import DEVIATIONS
from sparse_probing.probes.optimal.result import MARGIN, SENTENCES, OptimalFit
from sparse_probing.probes.validation import Floats
from sparse_probing.results import METRICS, FittedProbe
from sparse_probing.studies.base.logistic_probe import logistic_probe
from sparse_probing.studies.base.metrics import classification, regression
from sparse_probing.studies.base.problem import Problem, random_numbers
from sparse_probing.studies.optimal.candidates import Candidates

RESAMPLES = 500
"""Of the interval of F1."""
SCALING = f"{DEVIATIONS:g} standard deviations"


@dataclass(frozen=True)
class OptimalLinear:
    """The probe itself, as every fit of a linear function says it."""

    coef: Floats
    intercept: float
    objective: float
    iterations: int
    converged: bool
    status: str


def probes_of(candidates: Candidates, found: OptimalFit, multiplier: float, **further: Any) -> list[FittedProbe]:
    """Return the probe of a support, and beside it a logistic refit where classes are predicted."""
    of_support = {"density": len(found.support) / candidates.problem.width, **further}
    own = _optimal_probe(candidates, found, multiplier, of_support)
    probes = [own] if candidates.loss == "squared" else [own, _refit(candidates, found, multiplier, of_support)]
    return [replace(probe, ranking=candidates.ranking) for probe in probes]


def _refit(candidates: Candidates, found: OptimalFit, multiplier: float, further: dict[str, Any]) -> FittedProbe:
    """Return the logistic probe of the same neurons; its ``proof_status`` is about the support."""
    within = np.array(found.support)
    data, C = candidates.data, candidates.config.fit.regularization
    fits = fit_nested_top_k(data.x_train[:, within], data.y_train, [len(within)], C=C)
    (metrics,) = data.metrics(lambda x: nested_scores(fits, x[:, within]), classification(data))
    scores = nested_scores(fits, data.x_test[:, within])
    return logistic_probe(
        data,
        within,
        fits[len(within)],
        metrics | _intervals(candidates, scores),
        regularization=C,
        n_candidates=candidates.width,
        ridge_multiplier=multiplier,
        proof_status=found.status,
        **further,
    )


def _optimal_probe(
    candidates: Candidates, found: OptimalFit, multiplier: float, further: dict[str, Any]
) -> FittedProbe:
    data, within = candidates.data, np.array(found.support)
    coef, intercept = candidates.stored(found)

    def score(x: NDArray) -> Floats:
        return (x[:, within] @ coef + intercept)[:, None]

    squared = candidates.loss == "squared"
    (metrics,) = data.metrics(score, regression(data) if squared else _without_probabilities)
    intervals = {} if squared else _intervals(candidates, score(data.x_test))
    done = found.status == "proved"
    fit = OptimalLinear(coef, intercept, found.objective, found.nodes, done, SENTENCES[found.status])
    name = f"optimal_{candidates.loss}"
    return data.probe(name, within, fit, metrics | intervals, **_diagnostics(candidates, found, multiplier), **further)


def _without_probabilities(y: NDArray, scores: NDArray) -> dict[str, NDArray]:
    """Return the metrics of decision values that are no log odds."""
    return classification_metrics(y, scores, only=METRICS)


def _diagnostics(candidates: Candidates, found: OptimalFit, multiplier: float) -> dict[str, Any]:
    names = candidates.data.neurons
    return {
        "loss": candidates.loss,
        "regularization": None,
        "class_weight": "none" if candidates.loss == "squared" else "balanced",
        "scaling": SCALING,
        "ridge_multiplier": multiplier,
        "ridge": multiplier / np.sqrt(candidates.n_train),
        "candidates": None if candidates.width == candidates.problem.width else names,
        "n_candidates": candidates.width,
        "lower_bound": found.lower_bound,
        "optimality_gap": found.gap,
        "proof_status": found.status,
        "solver": found.solver,
        "nodes": found.nodes,
        "n_kept": found.n_kept,
        "root_gap": found.root_gap,
        "seconds": found.seconds,
        "seconds_to_support": found.seconds_to_support,
        "margin": MARGIN,
        "near_supports": [names[np.array(near.support)].tolist() for near in found.near_supports] or None,
        "near_objectives": [near.objective for near in found.near_supports] or None,
        "proof": found.proof,
    }


def _intervals(candidates: Candidates, scores: Floats) -> dict[str, float]:
    """Return intervals of F1 and ROC-AUC on the test rows, whole groups drawn again; NaN where there are too few."""
    problem, level = candidates.problem, candidates.config.statistics.confidence
    try:
        area = roc_inference(problem.test.label, scores, problem.test.group, level)
        low, high = _f1_interval(problem, scores[:, 0], level)
    except ProbeError:
        return dict.fromkeys(
            ("test_roc_auc_low", "test_roc_auc_high", "test_f1_score_low", "test_f1_score_high"), np.nan
        )
    return {
        "test_roc_auc_low": float(area.low[0]),
        "test_roc_auc_high": float(area.high[0]),
        "test_f1_score_low": low,
        "test_f1_score_high": high,
    }


def _f1_interval(problem: Problem, scores: Floats, level: float) -> tuple[float, float]:
    """Draw the counts of groups again, which is all that F1 needs."""
    positive, predicted = problem.test.label > 0, scores > 0
    codes = np.unique(problem.test.group, return_inverse=True)[1]
    counts = np.zeros((codes.max() + 1, 2))
    np.add.at(counts, codes, np.stack([positive & predicted, positive ^ predicted], axis=1))

    def f1(drawn: NDArray) -> float:
        hits, misses = counts[drawn].sum(axis=0)
        return 2 * hits / max(2 * hits + misses, 1)

    rng = random_numbers(problem.seed, "f1_interval")
    interval = group_bootstrap(f1, np.arange(len(counts)), rng, n_resamples=RESAMPLES, level=level)
    return float(interval.low), float(interval.high)
