"""One logistic probe for each of the best-ranked neurons, to see which know the feature alone."""

from __future__ import annotations

from sparse_probing.config import ProbingConfig
from sparse_probing.probes.l2.single_neuron import SingleNeuronFit, fit_single_neurons
from sparse_probing.results import FittedProbe
from sparse_probing.studies.base.metrics import classification
from sparse_probing.studies.base.problem import Columns, Problem


def fit(config: ProbingConfig, problem: Problem) -> list[FittedProbe]:
    """Fit the first ``n_neurons`` of the ranking, each alone."""
    ranking = config.search.heuristic_feature_selection_method
    data = problem.columns(problem.top(ranking, config.search.n_neurons))
    fits = fit_single_neurons(data.x_train, data.y_train, C=config.fit.regularization)
    metrics = data.metrics(lambda x: x * fits.coef + fits.intercept, classification(data))
    return single_neuron_probes(data, fits, metrics, ranking)


def single_neuron_probes(
    data: Columns, fits: SingleNeuronFit, metrics: list[dict[str, float]], ranking: str
) -> list[FittedProbe]:
    """Return the probe of each column, in the order of its rank."""
    return [
        data.probe(
            "single_neuron_logistic",
            [i],
            fits.neuron(i),
            metrics[i],
            ranking,
            rank=i + 1,
            newton_decrement=float(fits.decrement[i]),
        )
        for i in range(len(data.neurons))
    ]
