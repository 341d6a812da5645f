"""Take the best neuron away, fit again, and so on: to see whether one neuron knows the feature, or many."""

from __future__ import annotations

import numpy as np

from sparse_probing.config import ProbingConfig
from sparse_probing.probes.l2.logistic import fit_nested_top_k, nested_scores
from sparse_probing.probes.l2.single_neuron import fit_single_neurons
from sparse_probing.results import FittedProbe
from sparse_probing.studies.base.logistic_probe import logistic_probe
from sparse_probing.studies.base.metrics import classification
from sparse_probing.studies.base.problem import Problem


def fit(config: ProbingConfig, problem: Problem) -> list[FittedProbe]:
    """Fit probes of a fixed number of neurons; after each, its best single neuron is taken away.

    The best is the one whose own probe has the highest F1 on the training rows.
    """
    ranking = config.search.heuristic_feature_selection_method
    k, steps = (
        min(config.search.iterative_pruning_fixed_k, problem.width),
        config.search.iterative_pruning_n_prune_steps,
    )
    candidates = problem.top(ranking, k + steps - 1)
    data = problem.columns(candidates)
    alone = fit_single_neurons(data.x_train, data.y_train, C=config.fit.regularization)
    single = data.metrics(lambda x: x * alone.coef + alone.intercept, classification(data))
    f1 = np.array([metrics["train_f1_score"] for metrics in single])
    left, probes = np.arange(len(candidates)), []
    for step in range(min(steps, len(candidates) - k + 1)):
        within = left[:k]
        fits = fit_nested_top_k(data.x_train[:, within], data.y_train, [len(within)], C=config.fit.regularization)
        (metrics,) = data.metrics(lambda x, w=within, f=fits: nested_scores(f, x[:, w]), classification(data))
        (own,) = fits.values()
        probes.append(logistic_probe(data, within, own, metrics, ranking, step=step))
        left = np.delete(left, np.argmax(f1[within]))
    return probes
