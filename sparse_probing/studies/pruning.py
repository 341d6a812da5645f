"""Remove the best neuron and fit again: shows whether one neuron encodes the feature, or many do."""

from __future__ import annotations

import numpy as np

from sparse_probing.config import ProbingConfig
from sparse_probing.probes.l2.logistic import fit_nested_top_k, nested_scores
from sparse_probing.probes.l2.single_neuron import fit_single_neurons
from sparse_probing.studies.base.feature_data import FeatureData
from sparse_probing.studies.base.metrics import classification
from sparse_probing.studies.base.result_rows import FittedProbe


def fit(config: ProbingConfig, data: FeatureData) -> list[FittedProbe]:
    """Fit probes of a fixed number of neurons; after each, its best single neuron is removed.

    The best is the one whose own probe has the highest F1 on the training rows.
    """
    ranking, C = config.search.heuristic_feature_selection_method, config.fit.C
    k = min(config.search.iterative_pruning_fixed_k, data.width)
    n_steps = config.search.iterative_pruning_n_prune_steps
    candidates = data.top(ranking, k + n_steps - 1)
    neurons = data.select(candidates)
    measure = classification(neurons.y_train)
    # The F1 of every candidate as a probe of one neuron.
    single = fit_single_neurons(neurons.x_train, neurons.y_train, C=C)
    single_metrics = neurons.metrics(lambda x: x * single.coef + single.intercept, measure)
    f1 = np.array([metrics["train_f1_score"] for metrics in single_metrics])
    remaining, probes = np.arange(len(candidates)), []
    for step in range(min(n_steps, len(candidates) - k + 1)):
        within = remaining[:k]
        fits = fit_nested_top_k(neurons.x_train[:, within], neurons.y_train, [k], C=C)
        (metrics,) = neurons.metrics(lambda x, w=within, f=fits: nested_scores(f, x[:, w]), measure)
        probes.append(neurons.logistic_probe(within, fits[k], metrics, ranking, step=step))
        remaining = np.delete(remaining, np.argmax(f1[within]))
    return probes
