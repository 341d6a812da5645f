"""A probe of every neuron of a layer, with intervals and p-values that account for the best of thousands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from probing_datasets.foundation.errors import ProbeError
from sparse_probing.config import ProbingConfig
from sparse_probing.probes.inference.below_chance import SENTENCE, below_chance
from sparse_probing.probes.inference.corrected_p_values import corrected_p_values
from sparse_probing.probes.inference.permutation_test import distance_from_chance, max_statistic_test
from sparse_probing.probes.inference.roc_auc_inference import roc_inference
from sparse_probing.probes.l2.single_neuron import fit_single_neurons
from sparse_probing.studies.base.feature_data import FeatureData, SelectedNeurons
from sparse_probing.studies.base.metrics import classification, classification_of_training_rows
from sparse_probing.studies.base.result_rows import FittedProbe
from sparse_probing.studies.single_neurons import single_neuron_probes

BLOCK = 256
"""Neurons that are copied and fitted together."""


def fit(config: ProbingConfig, data: FeatureData) -> list[FittedProbe]:
    """Fit a probe of each single neuron; best first by the ROC-AUC of the probe on the training rows.

    Probes of the same area are in the order of the difference of the class means in standard deviations, as in
    :func:`sparse_probing.neurons.ranked_neurons.ranked_neurons`. The ranking ``auc`` has the same order, except of
    neurons whose logistic coefficient and ROC-AUC have different signs, because of a few large activations: their
    probes are worse than chance in training, and last here.

    Intervals and p-values of the ROC-AUC on test rows treat the rows of a group as dependent; the
    p-values are corrected over the neurons of the layer (Benjamini-Hochberg). Unless ``n_permutations``
    is 0, every neuron is also compared with the best that exchanged labels find
    among all neurons on the training rows (Westfall-Young).
    """
    probes: list[FittedProbe] = []
    for start in range(0, data.width, BLOCK):
        block = data.select(np.arange(start, min(start + BLOCK, data.width)))
        probes += _fit_block(data, block, config.fit.C, config.statistics.confidence)
    corrected = corrected_p_values(np.array([probe.further["p_value"] for probe in probes]))
    adjusted = _max_statistic_p_values(data, config.statistics.n_permutations)
    highs = np.array([probe.further["test_roc_auc_high"] for probe in probes])
    reversed_there = below_chance(highs, corrected, config.statistics.confidence)
    areas = np.array([probe.metrics["train_roc_auc"] for probe in probes]).round(9)
    reversed_there &= areas > 0.5
    differences = np.array([probe.further["train_mean_difference"] for probe in probes])
    order = np.lexsort((-differences, -areas))
    return [
        _with_columns(
            replace(probes[i], rank=rank, status=probes[i].status + (f" {SENTENCE}" if reversed_there[i] else "")),
            {"p_value_corrected": float(corrected[i]), "p_value_max_statistic": adjusted[i]},
        )
        for rank, i in enumerate(order, start=1)
    ]


def _fit_block(data: FeatureData, block: SelectedNeurons, C: float, confidence: float) -> list[FittedProbe]:
    fits = fit_single_neurons(block.x_train, block.y_train, C=C)
    metrics = block.metrics(
        lambda x: x * fits.coef + fits.intercept,
        classification(block.y_train),
        classification_of_training_rows(block.y_train),
    )
    probes = single_neuron_probes(block, fits, metrics, "train_roc_auc")
    # A negative coefficient reverses the curve. The sign is enough: the neuron itself has the ties of the probe.
    scores, remark = block.x_test * np.sign(fits.coef), ""
    try:
        areas = roc_inference(data.test.label, scores, data.test.group, confidence)
        low, high, p_value = areas.low, areas.high, areas.p_value
    except ProbeError as error:
        low = high = p_value = np.full(scores.shape[1], np.nan)
        remark = f" No interval: {error}"
    return [
        _with_columns(
            replace(probe, status=probe.status + remark),
            {
                "test_roc_auc_low": float(low[i]),
                "test_roc_auc_high": float(high[i]),
                "p_value": float(p_value[i]),
            },
        )
        for i, probe in enumerate(probes)
    ]


def _with_columns(probe: FittedProbe, columns: Mapping[str, float | None]) -> FittedProbe:
    return replace(probe, further={**probe.further, **columns})


def _max_statistic_p_values(data: FeatureData, n_permutations: int) -> list[float | None]:
    """Return the adjusted p-value of every neuron; None without permutations."""
    if not n_permutations:
        return [None] * data.width
    train = data.train
    statistic = distance_from_chance(data.layer[train.row])
    rng = data.rng("max_statistic_test")
    test = max_statistic_test(statistic, train.label, train.group, n_permutations, rng, train.sequence)
    return test.p_values.tolist()
