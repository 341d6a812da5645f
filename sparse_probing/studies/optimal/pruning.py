"""Remove the best neuron of the best support of the layer and search again: how many encode the feature."""

from __future__ import annotations

import numpy as np

from sparse_probing.config import ProbingConfig
from sparse_probing.probes.l2.single_neuron import fit_single_neurons
from sparse_probing.studies.base.feature_data import FeatureData
from sparse_probing.studies.base.interruption import interrupted
from sparse_probing.studies.base.metrics import classification
from sparse_probing.studies.base.result_rows import FittedProbe
from sparse_probing.studies.optimal.candidates import candidates
from sparse_probing.studies.optimal.optimal_probes import probes_of


def n_searches(config: ProbingConfig) -> int:
    """Return the largest number of searches for one feature."""
    return config.search.iterative_pruning_n_prune_steps


def fit(config: ProbingConfig, data: FeatureData) -> list[FittedProbe]:
    """Search for supports of a fixed number of neurons; after each, its best single neuron is removed.

    The best is the one whose own probe has the highest F1 on the training rows.
    """
    remaining, probes = candidates(config, data), []
    k = min(config.search.iterative_pruning_fixed_k, remaining.width)
    for step in range(min(config.search.iterative_pruning_n_prune_steps, remaining.width - k + 1)):
        optimum = remaining.search(remaining.sparse_problem(config.optimal.osp_ridge), k)
        probes += probes_of(remaining, optimum, config.optimal.osp_ridge, step=step)
        if interrupted():
            break
        # The F1 of every neuron of the support as a probe of one neuron.
        neurons, support = remaining.neurons, np.array(optimum.support)
        single = fit_single_neurons(neurons.x_train[:, support], neurons.y_train, C=config.fit.C)
        metrics = neurons.metrics(
            lambda x, support=support, single=single: x[:, support] * single.coef + single.intercept,
            classification(neurons.y_train),
        )
        best = support[np.argmax([m["train_f1_score"] for m in metrics])]
        remaining = remaining.among(np.delete(np.arange(remaining.width), best))
    return probes
