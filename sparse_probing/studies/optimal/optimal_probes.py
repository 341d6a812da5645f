"""From the support that a search found to the rows of its probes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from probing_datasets.foundation.errors import ProbeError
from sparse_probing.probes.inference.f1_interval import f1_interval
from sparse_probing.probes.inputs.validation import Floats
from sparse_probing.probes.l2.logistic import fit_nested_top_k, nested_scores
from sparse_probing.probes.optimal.problem import DEVIATIONS
from sparse_probing.probes.optimal.result import MARGIN, SENTENCES, OptimalFit
from sparse_probing.studies.base.feature_data import FeatureData
from sparse_probing.studies.base.metrics import classification, classification_without_probabilities, regression
from sparse_probing.studies.base.result_rows import FittedProbe
from sparse_probing.studies.optimal.candidates import Candidates

SCALING = f"{DEVIATIONS:g} standard deviations"


@dataclass(frozen=True)
class OptimalLinear:
    """The probe itself, with what every fit of a linear function reports."""

    coef: Floats
    intercept: float
    objective: float
    iterations: int
    converged: bool
    status: str


def probes_of(candidates: Candidates, optimum: OptimalFit, multiplier: float, **further: Any) -> list[FittedProbe]:
    """Return the probe of a support and, where classes are predicted, a logistic refit of the same neurons."""
    columns = {"density": len(optimum.support) / candidates.data.width, **further}
    probe = _optimal_probe(candidates, optimum, multiplier, columns)
    if optimum.intercepts is not None and probe.intercept is not None:  # scaling moves both ends like the intercept
        low, high = (probe.intercept + end - optimum.intercept for end in optimum.intercepts)
        probe = replace(probe, further={**probe.further, "intercept_low": low, "intercept_high": high})
    probes = [probe]
    if candidates.loss != "squared":
        probes.append(_refit(candidates, optimum, multiplier, columns))
    return [replace(probe, ranking=candidates.ranking) for probe in probes]


def _refit(candidates: Candidates, optimum: OptimalFit, multiplier: float, further: dict[str, Any]) -> FittedProbe:
    """Return the logistic probe of the same neurons; its ``proof_status`` is about the support."""
    neurons, C, within = candidates.neurons, candidates.config.fit.C, np.array(optimum.support)
    fits = fit_nested_top_k(neurons.x_train[:, within], neurons.y_train, [len(within)], C=C)
    (metrics,) = neurons.metrics(lambda x: nested_scores(fits, x[:, within]), classification(neurons.y_train))
    scores = nested_scores(fits, neurons.x_test[:, within])
    return neurons.logistic_probe(
        within,
        fits[len(within)],
        metrics | _f1_ends(candidates.data, scores, candidates.config.statistics.confidence),
        regularization=C,
        n_candidates=candidates.width,
        ridge_multiplier=multiplier,
        proof_status=optimum.status,
        **further,
    )


def _optimal_probe(
    candidates: Candidates, optimum: OptimalFit, multiplier: float, further: dict[str, Any]
) -> FittedProbe:
    neurons, within, squared = candidates.neurons, np.array(optimum.support), candidates.loss == "squared"
    coef, intercept = candidates.stored(optimum)

    def score(x: NDArray) -> Floats:
        return (x[:, within] @ coef + intercept)[:, None]

    (metrics,) = neurons.metrics(score, regression if squared else classification_without_probabilities)
    if not squared:
        metrics |= _f1_ends(candidates.data, score(neurons.x_test), candidates.config.statistics.confidence)
    fit = OptimalLinear(
        coef,
        intercept,
        optimum.objective,
        optimum.nodes,
        converged=optimum.status == "proved",
        status=SENTENCES[optimum.status],
    )
    return neurons.probe(
        f"optimal_{candidates.loss}",
        within,
        fit,
        metrics,
        loss=candidates.loss,
        regularization=None,
        class_weight="none" if squared else "balanced",
        scaling=SCALING,
        ridge_multiplier=multiplier,
        ridge=multiplier / np.sqrt(candidates.n_train),
        candidates=None if candidates.width == candidates.data.width else neurons.indices,
        n_candidates=candidates.width,
        lower_bound=optimum.lower_bound,
        optimality_gap=optimum.gap,
        proof_status=optimum.status,
        solver=optimum.solver,
        replaceable=neurons.indices[np.array(optimum.replaceable, np.int64)].tolist(),
        nodes=optimum.nodes,
        n_kept=optimum.n_kept,
        root_gap=optimum.root_gap,
        seconds=optimum.seconds,
        seconds_to_support=optimum.seconds_to_support,
        margin=MARGIN,
        near_supports=[neurons.indices[np.array(near.support)].tolist() for near in optimum.near_supports] or None,
        near_objectives=[near.objective for near in optimum.near_supports] or None,
        proof=optimum.proof,
        **further,
    )


def _f1_ends(data: FeatureData, scores: Floats, level: float) -> dict[str, float]:
    """Return the interval of F1 on the test rows; NaN with too few groups."""
    try:
        low, high = f1_interval(data.test.label, scores[:, 0], data.test.group, level)
    except ProbeError:
        low = high = np.nan
    return {"test_f1_score_low": low, "test_f1_score_high": high}
