"""A probe of every neuron of a layer, with what it takes to trust the best of thousands."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from probing_datasets.foundation.errors import ProbeError
from sparse_probing.config import ProbingConfig
from sparse_probing.probes.controls import exchangeable_units
from sparse_probing.probes.inference.permutation_test import distance_from_chance, max_statistic_test
from sparse_probing.probes.inference.roc_auc_interval import roc_inference
from sparse_probing.probes.l2.single_neuron import fit_single_neurons
from sparse_probing.probes.validation import Floats
from sparse_probing.results import FittedProbe
from sparse_probing.studies.base.metrics import classification, without_areas
from sparse_probing.studies.base.problem import Columns, Problem
from sparse_probing.studies.single_neurons import single_neuron_probes

BLOCK = 256
"""Neurons that are copied and fitted at a time."""


def fit(config: ProbingConfig, problem: Problem) -> list[FittedProbe]:
    """Fit every neuron alone; best first by F1 on the training rows, of equal ones the lower neuron first.

    Intervals and p-values of the ROC-AUC on test rows take the rows of a group as dependent; the
    p-values are corrected over the neurons of the layer (Benjamini-Hochberg). With
    ``n_permutations``, every neuron is also compared with the best that permuted labels find
    among all neurons on the training rows (Westfall-Young).
    """
    probes = [probe for data in _blocks(problem) for probe in _fit_block(config, problem, data)]
    corrected = _corrected(np.array([p.further["p_value"] for p in probes]))
    adjusted = _max_statistic(config, problem)
    order = np.argsort([-p.metrics["train_f1_score"] for p in probes], kind="stable")
    return [_complete(probes[i], rank, float(corrected[i]), adjusted[i]) for rank, i in enumerate(order, start=1)]


def _blocks(problem: Problem) -> Iterator[Columns]:
    for start in range(0, problem.width, BLOCK):
        yield problem.columns(np.arange(start, min(start + BLOCK, problem.width)))


def _fit_block(config: ProbingConfig, problem: Problem, data: Columns) -> list[FittedProbe]:
    fits = fit_single_neurons(data.x_train, data.y_train, C=config.fit.regularization)
    metrics = data.metrics(lambda x: x * fits.coef + fits.intercept, classification(data), without_areas)
    probes = single_neuron_probes(data, fits, metrics, "train_f1_score")
    # The sign of a coefficient turns the curve around; the neuron itself has as many ties as the probe.
    inference, remark = _inference(problem, data.x_test * np.sign(fits.coef), config.statistics.confidence)
    return [
        replace(
            probe,
            status=probe.status + remark,
            further={**probe.further, **{name: float(values[i]) for name, values in inference.items()}},
        )
        for i, probe in enumerate(probes)
    ]


def _inference(problem: Problem, scores: NDArray, level: float) -> tuple[dict[str, Floats], str]:
    """Return interval and p-value of every column of scores on the test rows, or NaN and the reason."""
    try:
        areas = roc_inference(problem.test.label, scores, problem.test.group, level)
    except ProbeError as error:
        unknown = np.full(scores.shape[1], np.nan)
        return {"test_roc_auc_low": unknown, "test_roc_auc_high": unknown, "p_value": unknown}, f" No interval: {error}"
    return {"test_roc_auc_low": areas.low, "test_roc_auc_high": areas.high, "p_value": areas.p_value}, ""


def _corrected(p_values: Floats) -> Floats:
    from scipy.stats import (
        false_discovery_control,
    )  # here: importing it costs most of a second, in every job of a cluster

    known = np.isfinite(p_values)
    corrected = np.full(len(p_values), np.nan)
    if known.any():
        corrected[known] = false_discovery_control(p_values[known])
    return corrected


def _max_statistic(config: ProbingConfig, problem: Problem) -> list[float | None]:
    """Return the adjusted p-value of every neuron, None where the test is not asked for."""
    if not config.statistics.n_permutations:
        return [None] * problem.width
    train = problem.train
    statistic = distance_from_chance(problem.layer[train.row])
    units = exchangeable_units(train.label, train.sequence, train.group)
    rng = problem.rng("max_statistic_test")
    test = max_statistic_test(statistic, train.label, units, config.statistics.n_permutations, rng)
    return test.p_values.tolist()


def _complete(probe: FittedProbe, rank: int, corrected: float, adjusted: float | None) -> FittedProbe:
    further = {"p_value_corrected": corrected, "p_value_max_statistic": adjusted}
    return replace(probe, rank=rank, further={**probe.further, **further})
