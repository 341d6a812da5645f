"""Probes that choose their own neurons: an L1 penalty, from so strong that few are left to ever weaker."""

from __future__ import annotations

from sparse_probing.config import ProbingConfig
from sparse_probing.probes.l1.l1_path import fit_l1_path, fit_lasso_path
from sparse_probing.probes.l1.path_following import SparsePath
from sparse_probing.results import FittedProbe
from sparse_probing.studies.base.metrics import classification, regression
from sparse_probing.studies.base.problem import Columns, Metrics, Problem


def fit(config: ProbingConfig, problem: Problem) -> list[FittedProbe]:
    """Fit logistic probes along a path of C, up to ``max_k`` neurons."""
    data = problem.columns()
    path = fit_l1_path(data.x_train, data.y_train, max_support=config.search.max_k, l1_ratio=config.fit.l1_ratio)
    return _probes(config, data, path, "l1_logistic", classification(data))


def fit_regression(config: ProbingConfig, problem: Problem) -> list[FittedProbe]:
    """Fit least-squares probes along a path of alpha, up to ``max_k`` neurons; C is 1 / alpha."""
    data = problem.columns()
    path = fit_lasso_path(data.x_train, data.y_train, max_support=config.search.max_k, l1_ratio=config.fit.l1_ratio)
    return _probes(config, data, path, "lasso", regression(data))


def _probes(config: ProbingConfig, data: Columns, path: SparsePath, name: str, measure: Metrics) -> list[FittedProbe]:
    metrics = data.metrics(path.scores, measure)
    return [
        data.probe(
            name,
            fit.support,
            fit,
            metrics[i],
            normalized=True,  # by the fit itself
            duality_gap=fit.gap,
            regularization=fit.strength if name == "l1_logistic" else 1 / fit.strength,
            l1_ratio=config.fit.l1_ratio,
            density=len(fit.support) / len(data.neurons),
        )
        for i, fit in enumerate(path.fits)
    ]
