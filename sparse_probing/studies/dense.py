"""One probe of all neurons of a layer: what a linear probe can know at most."""

from __future__ import annotations

from functools import partial

from numpy.typing import NDArray

from sparse_probing.config import ProbingConfig
from sparse_probing.probes.l2.logistic import dense_scores, fit_dense
from sparse_probing.probes.validation import Floats
from sparse_probing.results import FittedProbe
from sparse_probing.studies.base.choose_regularization import Scorer, choose_regularization
from sparse_probing.studies.base.logistic_probe import logistic_probe
from sparse_probing.studies.base.metrics import classification
from sparse_probing.studies.base.problem import Problem


def fit(config: ProbingConfig, problem: Problem) -> list[FittedProbe]:
    """Fit all neurons together."""
    data = problem.columns()
    (C,) = choose_regularization(config, problem, data, _fit)
    probe = fit_dense(data.x_train, data.y_train, C=C)
    (metrics,) = data.metrics(partial(dense_scores, probe), classification(data))
    return [logistic_probe(data, slice(None), probe, metrics, regularization=C, density=1.0)]


def _fit(x: NDArray, y: Floats, C: float) -> Scorer:
    return partial(dense_scores, fit_dense(x, y, C=C))
