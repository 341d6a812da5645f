"""Probes of the k best-ranked neurons, for growing k, to see how many neurons carry the feature."""

from __future__ import annotations

import numpy as np

from experiments.config import ProbingConfig
from experiments.probes.logistic import fit_nested_top_k, nested_scores
from experiments.probes.rankings import RANKINGS, top_neurons
from experiments.results import FittedProbe
from experiments.studies.data import SplitData
from experiments.studies.from_fit import fitted_probe

SPARSITY_LEVELS = (1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 24, 32, 64, 128, 256, 512, 1024)


def fit(config: ProbingConfig, data: SplitData, rng: np.random.Generator) -> list[FittedProbe]:
    """Rank neurons on the training rows and fit the first k of them together, for every k up to ``max_k``."""
    ranking = config.heuristic_feature_selection_method
    largest = min(config.max_k, data.width)
    ks = [k for k in SPARSITY_LEVELS if k <= largest]
    neurons = top_neurons(RANKINGS[ranking](data.x_train, data.y_train, rng), ks[-1])
    fits = fit_nested_top_k(data.x_train[:, neurons], data.y_train, ks, C=config.regularization)
    metrics = data.metrics(lambda x: nested_scores(fits, x[:, neurons]))
    return [
        fitted_probe("logistic", ranking, neurons[:k], fits[k], values) for k, values in zip(ks, metrics, strict=True)
    ]
