"""Features that are numbers (a position, a year): least-squares probes of all neurons, or of the k best."""

from __future__ import annotations

from sparse_probing.config import ProbingConfig, RankingName
from sparse_probing.probes.l2.logistic import nested_scores
from sparse_probing.probes.l2.ridge import fit_nested_top_k_regression, fit_ridge_path
from sparse_probing.results import FittedProbe
from sparse_probing.studies.base.metrics import regression
from sparse_probing.studies.base.problem import Problem
from sparse_probing.studies.base.sparsity_levels import sparsity_levels

RANKING: RankingName = "f_stat"


def the_f_statistic(_config: ProbingConfig) -> tuple[RankingName, ...]:
    """Return the ranking for real targets, that of Gurnee et al. (2023)."""
    return (RANKING,)


def fit_dense(config: ProbingConfig, problem: Problem) -> list[FittedProbe]:
    """Fit all neurons together, with the ridge alpha = 1 / C."""
    data, alpha = problem.columns(), 1 / config.fit.regularization
    probe = fit_ridge_path(data.x_train, data.y_train, [alpha])[alpha]
    (metrics,) = data.metrics(lambda x: (x @ probe.coef + probe.intercept)[:, None], regression(data))
    return [data.probe("ridge", slice(None), probe, metrics, duality_gap=probe.gap)]


def fit_sweep(config: ProbingConfig, problem: Problem) -> list[FittedProbe]:
    """Fit the first k neurons together, for every k."""
    ks = sparsity_levels(config, problem.width)
    data = problem.columns(problem.top(RANKING, ks[-1]))
    fits = fit_nested_top_k_regression(data.x_train, data.y_train, ks, alpha=1 / config.fit.regularization)
    metrics = data.metrics(lambda x: nested_scores(fits, x), regression(data))
    return [
        data.probe(
            "ridge",
            slice(k),
            fits[k],
            metrics[i],
            RANKING,
            rank=int(k == 1),
            duality_gap=fits[k].gap,
            density=k / problem.width,
        )
        for i, k in enumerate(ks)
    ]
