"""Take the best neuron of the best support away, search again, and so on: how many neurons know the feature."""

from __future__ import annotations

import numpy as np

from sparse_probing.config import ProbingConfig
from sparse_probing.interruption import interrupted
from sparse_probing.probes.l2.single_neuron import fit_single_neurons
from sparse_probing.results import FittedProbe
from sparse_probing.studies.base.metrics import classification
from sparse_probing.studies.base.problem import Problem
from sparse_probing.studies.optimal.candidates import Candidates, candidates
from sparse_probing.studies.optimal.rows import probes_of


def fit(config: ProbingConfig, problem: Problem) -> list[FittedProbe]:
    """Search for supports of a fixed number of neurons; after each, its best single neuron is taken away.

    The best is the one whose own probe has the highest F1 on the training rows.
    """
    left, probes = candidates(config, problem), []
    k = min(config.search.iterative_pruning_fixed_k, left.width)
    for step in range(min(config.search.iterative_pruning_n_prune_steps, left.width - k + 1)):
        found = left.search(left.sparse_problem(config.optimal.osp_ridge), k)
        probes += probes_of(left, found, config.optimal.osp_ridge, step=step)
        if interrupted():
            break
        best = _best_alone(left, np.array(found.support))
        left = left.among(np.delete(np.arange(left.width), best))
    return probes


def _best_alone(left: Candidates, support: np.ndarray) -> int:
    data = left.data
    alone = fit_single_neurons(data.x_train[:, support], data.y_train, C=left.config.fit.regularization)
    metrics = data.metrics(lambda x: x[:, support] * alone.coef + alone.intercept, classification(data))
    return int(support[np.argmax([m["train_f1_score"] for m in metrics])])
