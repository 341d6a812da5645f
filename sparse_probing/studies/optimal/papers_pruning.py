"""The paper's ``osp_iterative_pruning``: remove the best neuron of the best support, and search again."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from sparse_probing.config import ProbingConfig
from sparse_probing.probes.l2.single_neuron import fit_single_neurons
from sparse_probing.studies.base.feature_data import FeatureData
from sparse_probing.studies.base.interruption import interrupted
from sparse_probing.studies.base.metrics import classification
from sparse_probing.studies.base.result_rows import FittedProbe
from sparse_probing.studies.optimal.candidates import best_ranked
from sparse_probing.studies.optimal.optimal_probes import probes_of
from sparse_probing.studies.single_neurons import single_neuron_probes

RANKING = "f_stat"
RIDGE = 10.0
"""The ridge is this number divided by the number of training rows."""


def n_searches(config: ProbingConfig) -> int:
    """Return the largest number of searches for one feature."""
    return config.search.iterative_pruning_n_prune_steps


def fit(config: ProbingConfig, data: FeatureData) -> list[FittedProbe]:
    """Search for the best k of the 50 neurons with the largest F that are left; then one neuron is removed.

    Every neuron of a support gets its own probe, once, and the one whose probe has the highest F1 on the training
    rows is removed. The code of Gurnee et al. (2023) compares them on the test rows, which then decide what they
    measure; this is the only difference.
    """
    removed: list[int] = []
    f1_of: dict[int, float] = {}  # training F1 of the own probe of each neuron
    probes: list[FittedProbe] = []
    k = min(config.search.iterative_pruning_fixed_k, data.width)
    for step in range(min(config.search.iterative_pruning_n_prune_steps, data.width - k + 1)):
        searched = best_ranked(config, data, RANKING, removed, at_least=k)
        multiplier = RIDGE / np.sqrt(searched.n_train)
        optimum = searched.search(searched.sparse_problem(multiplier), k)
        probes += probes_of(searched, optimum, multiplier, step=step)
        support = searched.neurons.indices[np.array(optimum.support)]
        neurons = data.select(support)
        fits = fit_single_neurons(neurons.x_train, neurons.y_train, C=config.fit.C)
        metrics = neurons.metrics(lambda x, f=fits: x * f.coef + f.intercept, classification(neurons.y_train))
        for neuron, probe in zip(support.tolist(), single_neuron_probes(neurons, fits, metrics, RANKING), strict=True):
            if neuron not in f1_of:
                f1_of[neuron] = probe.metrics["train_f1_score"]
                probes.append(replace(probe, rank=0, further={**probe.further, "step": step}))
        removed.append(max(support.tolist(), key=lambda neuron: f1_of[neuron]))  # of equal ones the lowest
        if interrupted():
            break
    return probes
