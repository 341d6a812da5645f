"""One logistic probe for each of the best-ranked neurons, to see which know the feature alone."""

from __future__ import annotations

import numpy as np

from experiments.config import ProbingConfig
from experiments.probes.logistic import fit_single_neurons
from experiments.probes.rankings import RANKINGS, top_neurons
from experiments.results import FittedProbe
from experiments.studies.data import SplitData


def fit(config: ProbingConfig, data: SplitData, rng: np.random.Generator) -> list[FittedProbe]:
    """Rank neurons on the training rows and fit the first ``n_neurons`` of them, each alone."""
    ranking = config.heuristic_feature_selection_method
    scores = RANKINGS[ranking](data.x_train, data.y_train, rng)
    neurons = top_neurons(scores, min(config.n_neurons, data.width))
    fits = fit_single_neurons(data.x_train[:, neurons], data.y_train, C=config.regularization)
    metrics = data.metrics(lambda x: x[:, neurons] * fits.coef + fits.intercept)
    return [
        FittedProbe(
            probe="single_neuron_logistic",
            ranking=ranking,
            rank=i + 1,
            support=neurons[[i]],
            coef=fits.coef[[i]],
            intercept=float(fits.intercept[i]),
            objective=float(fits.objective[i]),
            newton_decrement=float(fits.decrement[i]),
            iterations=int(fits.iterations[i]),
            converged=bool(fits.converged[i]),
            status=str(fits.status[i]),
            metrics=metrics[i],
        )
        for i in range(len(neurons))
    ]
