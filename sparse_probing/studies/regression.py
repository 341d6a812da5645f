"""Features that are numbers (a position, a year): least-squares probes of all neurons, or of the k best."""

from __future__ import annotations

from sparse_probing.config import ProbingConfig, RankingName
from sparse_probing.probes.l2.logistic import nested_scores
from sparse_probing.probes.l2.ridge import fit_nested_top_k_regression, fit_ridge_path
from sparse_probing.studies.base.feature_data import FeatureData
from sparse_probing.studies.base.metrics import regression
from sparse_probing.studies.base.result_rows import FittedProbe
from sparse_probing.studies.base.sparsity_levels import sparsity_levels

RANKING: RankingName = "f_stat"
"""The ranking for real targets, that of Gurnee et al. (2023)."""


def fit_dense(config: ProbingConfig, data: FeatureData) -> list[FittedProbe]:
    """Fit all neurons together, with the ridge alpha = 1 / C."""
    neurons, alpha = data.select(), 1 / config.fit.regularization
    probe = fit_ridge_path(neurons.x_train, neurons.y_train, [alpha])[alpha]
    (metrics,) = neurons.metrics(lambda x: (x @ probe.coef + probe.intercept)[:, None], regression)
    return [neurons.probe("ridge", slice(None), probe, metrics, duality_gap=probe.gap)]


def fit_sweep(config: ProbingConfig, data: FeatureData) -> list[FittedProbe]:
    """Fit the first k neurons together, for every k."""
    ks = sparsity_levels(config.search, data.width)
    neurons = data.select(data.top(RANKING, ks[-1]))
    fits = fit_nested_top_k_regression(neurons.x_train, neurons.y_train, ks, alpha=1 / config.fit.regularization)
    metrics = neurons.metrics(lambda x: nested_scores(fits, x), regression)
    return [
        neurons.probe(
            "ridge",
            slice(k),
            fits[k],
            metrics[i],
            RANKING,
            rank=1 if k == 1 else 0,
            duality_gap=fits[k].gap,
            density=k / data.width,
        )
        for i, k in enumerate(ks)
    ]
