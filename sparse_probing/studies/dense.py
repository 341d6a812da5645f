"""One probe of all neurons of a layer: the upper limit of what a linear probe can predict."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from sparse_probing.config import ProbingConfig
from sparse_probing.probes.l2.held_out_scores import dense_held_out_scores
from sparse_probing.probes.l2.logistic import dense_scores, fit_dense
from sparse_probing.studies.base.choose_regularization import choose_regularization
from sparse_probing.studies.base.feature_data import FeatureData
from sparse_probing.studies.base.metrics import classification
from sparse_probing.studies.base.result_rows import FittedProbe


def fit(config: ProbingConfig, data: FeatureData) -> list[FittedProbe]:
    """Fit all neurons together."""
    neurons = data.select()
    choice = choose_regularization(config, data, neurons, dense_held_out_scores)
    (C,) = choice.values
    probe = fit_dense(neurons.x_train, neurons.y_train, C=C)
    probe = replace(probe, status=choice.status(probe.status))
    (metrics,) = neurons.metrics(partial(dense_scores, probe), classification(neurons.y_train))
    return [neurons.logistic_probe(slice(None), probe, metrics, regularization=C, density=1.0)]
