"""One probe of all neurons of a layer: what a linear probe can know at most."""

from __future__ import annotations

from functools import partial

from numpy.typing import NDArray

from experiments.config import ProbingConfig
from experiments.probes.inputs import Floats
from experiments.probes.logistic import dense_scores, fit_dense
from experiments.results import FittedProbe
from experiments.studies.logistic_probe import logistic_probe
from experiments.studies.measures import classification
from experiments.studies.problem import Problem
from experiments.studies.tuning import Scorer, choose_regularization


def fit(config: ProbingConfig, problem: Problem) -> list[FittedProbe]:
    """Fit all neurons together."""
    data = problem.columns()
    (C,) = choose_regularization(config, problem, data, _fit)
    probe = fit_dense(data.x_train, data.y_train, C=C)
    (metrics,) = data.metrics(partial(dense_scores, probe), classification(data))
    return [logistic_probe(data, slice(None), probe, metrics, regularization=C, density=1.0)]


def _fit(x: NDArray, y: Floats, C: float) -> Scorer:
    return partial(dense_scores, fit_dense(x, y, C=C))
