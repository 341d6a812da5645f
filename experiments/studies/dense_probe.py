"""One probe of all neurons of a layer: what a linear probe can know at most."""

from __future__ import annotations

import numpy as np

from experiments.config import ProbingConfig
from experiments.probes.logistic import fit_dense
from experiments.results import FittedProbe
from experiments.studies.data import SplitData
from experiments.studies.from_fit import fitted_probe


def fit(config: ProbingConfig, data: SplitData, rng: np.random.Generator) -> list[FittedProbe]:  # noqa: ARG001
    """Fit all neurons together."""
    probe = fit_dense(data.x_train, data.y_train, C=config.regularization)
    (metrics,) = data.metrics(lambda x: (x @ probe.coef + probe.intercept)[:, None])
    return [fitted_probe("logistic", "", np.arange(data.width), probe, metrics)]
