"""Probes that choose their own neurons: an L1 penalty, from a strong one with few neurons to ever weaker ones."""

from __future__ import annotations

from sparse_probing.config import ProbingConfig
from sparse_probing.probes.l1.l1_path import fit_l1_path, fit_lasso_path
from sparse_probing.probes.l1.path_following import SparsePath
from sparse_probing.studies.base.feature_data import FeatureData, Metrics, SelectedNeurons
from sparse_probing.studies.base.metrics import classification, regression
from sparse_probing.studies.base.result_rows import FittedProbe


def fit(config: ProbingConfig, data: FeatureData) -> list[FittedProbe]:
    """Fit logistic probes along a path of C, up to ``max_k`` neurons."""
    neurons, l1_ratio = data.select(), config.fit.l1_ratio
    path = fit_l1_path(neurons.x_train, neurons.y_train, max_support=config.search.max_k, l1_ratio=l1_ratio)
    return _probes(neurons, path, "l1_logistic", classification(neurons.y_train), l1_ratio)


def fit_regression(config: ProbingConfig, data: FeatureData) -> list[FittedProbe]:
    """Fit least-squares probes along a path of alpha, up to ``max_k`` neurons; C is 1 / alpha."""
    neurons, l1_ratio = data.select(), config.fit.l1_ratio
    path = fit_lasso_path(neurons.x_train, neurons.y_train, max_support=config.search.max_k, l1_ratio=l1_ratio)
    return _probes(neurons, path, "lasso", regression, l1_ratio)


def _probes(
    neurons: SelectedNeurons, path: SparsePath, name: str, measure: Metrics, l1_ratio: float
) -> list[FittedProbe]:
    metrics = neurons.metrics(path.scores, measure)
    return [
        neurons.probe(
            name,
            fit.support,
            fit,
            metrics[i],
            normalized=True,  # by the fit itself
            duality_gap=fit.gap,
            regularization=fit.strength if name == "l1_logistic" else 1 / fit.strength,
            l1_ratio=l1_ratio,
            density=len(fit.support) / len(neurons.indices),
        )
        for i, fit in enumerate(path.fits)
    ]
