"""One logistic probe for each of the best-ranked neurons: shows which predict the feature without others."""

from __future__ import annotations

from sparse_probing.config import ProbingConfig
from sparse_probing.probes.l2.single_neuron import SingleNeuronFit, fit_single_neurons
from sparse_probing.studies.base.feature_data import FeatureData, SelectedNeurons
from sparse_probing.studies.base.metrics import classification
from sparse_probing.studies.base.result_rows import FittedProbe


def fit(config: ProbingConfig, data: FeatureData) -> list[FittedProbe]:
    """Fit a probe of each of the first ``n_neurons`` of the ranking."""
    ranking = config.search.heuristic_feature_selection_method
    neurons = data.select(data.top(ranking, config.search.n_neurons))
    fits = fit_single_neurons(neurons.x_train, neurons.y_train, C=config.fit.C)
    metrics = neurons.metrics(lambda x: x * fits.coef + fits.intercept, classification(neurons.y_train))
    return single_neuron_probes(neurons, fits, metrics, ranking)


def single_neuron_probes(
    neurons: SelectedNeurons, fits: SingleNeuronFit, metrics: list[dict[str, float]], ranking: str
) -> list[FittedProbe]:
    """Return the probe of each neuron, in the order of the ranking."""
    differences = neurons.mean_differences()
    return [
        neurons.probe(
            "single_neuron_logistic",
            [i],
            fits.neuron(i),
            metrics[i],
            ranking,
            rank=i + 1,
            newton_decrement=float(fits.decrement[i]),
            train_mean_difference=float(differences[i]),
        )
        for i in range(len(neurons.indices))
    ]
