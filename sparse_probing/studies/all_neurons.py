"""A probe of every neuron of a layer, with intervals and p-values that account for the best of thousands."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from sparse_probing.config import ProbingConfig
from sparse_probing.probes.inference.corrected_p_values import corrected_p_values
from sparse_probing.probes.inference.permutation_test import distance_from_chance, max_statistic_test
from sparse_probing.probes.l2.single_neuron import fit_single_neurons
from sparse_probing.studies.base.feature_data import FeatureData
from sparse_probing.studies.base.held_out_intervals import with_intervals
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
        fits = fit_single_neurons(block.x_train, block.y_train, C=config.fit.C)
        metrics = block.metrics(
            lambda x, f=fits: x * f.coef + f.intercept,
            classification(block.y_train),
            classification_of_training_rows(block.y_train),
        )
        probes += single_neuron_probes(block, fits, metrics, "train_roc_auc")
    probes = with_intervals(data, probes, config.statistics.confidence)
    corrected = corrected_p_values(np.array([probe.further["p_value"] for probe in probes]))
    adjusted = _max_statistic_p_values(data, config.statistics.n_permutations)
    areas = np.array([probe.metrics["train_roc_auc"] for probe in probes]).round(9)
    differences = np.array([probe.further["train_mean_difference"] for probe in probes])
    ranked = []
    for rank, i in enumerate(np.lexsort((-differences, -areas)), start=1):
        tests = {"p_value_corrected": float(corrected[i]), "p_value_max_statistic": adjusted[i]}
        ranked.append(replace(probes[i], rank=rank, further={**probes[i].further, **tests}))
    return ranked


def _max_statistic_p_values(data: FeatureData, n_permutations: int) -> list[float | None]:
    """Return the adjusted p-value of every neuron; None without permutations."""
    if not n_permutations:
        return [None] * data.width
    train = data.train
    statistic = distance_from_chance(data.layer[train.row])
    rng = data.rng("max_statistic_test")
    test = max_statistic_test(statistic, train.label, train.group, n_permutations, rng, train.sequence)
    return test.p_values.tolist()
