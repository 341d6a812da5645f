"""One probe of all neurons of a layer: the upper limit of what a linear probe can predict."""

from __future__ import annotations

from functools import partial

from numpy.typing import NDArray

from sparse_probing.config import ProbingConfig
from sparse_probing.probes.inputs.validation import Floats
from sparse_probing.probes.l2.logistic import dense_scores, fit_dense
from sparse_probing.studies.base.choose_regularization import Scorer, choose_regularization
from sparse_probing.studies.base.feature_data import FeatureData
from sparse_probing.studies.base.metrics import classification
from sparse_probing.studies.base.result_rows import FittedProbe


def fit(config: ProbingConfig, data: FeatureData) -> list[FittedProbe]:
    """Fit all neurons together."""
    neurons = data.select()

    def fit_with(x: NDArray, y: Floats, C: float) -> Scorer:
        return partial(dense_scores, fit_dense(x, y, C=C))

    (C,) = choose_regularization(config, data, neurons, fit_with)
    probe = fit_dense(neurons.x_train, neurons.y_train, C=C)
    (metrics,) = neurons.metrics(partial(dense_scores, probe), classification(neurons.y_train))
    return [neurons.logistic_probe(slice(None), probe, metrics, regularization=C, density=1.0)]
