"""Features that are numbers (a position, a year): least-squares probes of all neurons, or of the k best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from numpy.typing import NDArray

from sparse_probing.config import ProbingConfig, RankingName
from sparse_probing.probes.inputs.validation import Floats
from sparse_probing.probes.l2.logistic import nested_scores
from sparse_probing.probes.l2.ridge import (
    RidgeFit,
    fit_nested_top_k_regression,
    fit_ridge_path,
    nested_ridge_held_out_predictions,
    ridge_held_out_predictions,
)
from sparse_probing.probes.splits.grouped_split import Split
from sparse_probing.studies.base.choose_regularization import choose_regularization
from sparse_probing.studies.base.feature_data import FeatureData
from sparse_probing.studies.base.metrics import regression
from sparse_probing.studies.base.result_rows import FittedProbe

RANKING: RankingName = "f_stat"
"""The ranking for real targets, that of Gurnee et al. (2023)."""


def fit_dense(config: ProbingConfig, data: FeatureData) -> list[FittedProbe]:
    """Fit all neurons together, with the ridge alpha = 1 / C."""
    neurons = data.select()

    def held_out(x: NDArray, y: Floats, folds: Sequence[Split], Cs: Sequence[float]) -> Floats:
        # alphas rise where C falls
        return ridge_held_out_predictions(x, y, folds, [1 / C for C in reversed(Cs)])[::-1]

    choice = choose_regularization(config, data, neurons, held_out)
    (C,) = choice.values
    (probe,) = fit_ridge_path(neurons.x_train, neurons.y_train, [1 / C]).values()
    probe = replace(probe, status=choice.status(probe.status))
    (metrics,) = neurons.metrics(lambda x: (x @ probe.coef + probe.intercept)[:, None], regression)
    return [neurons.probe("ridge", slice(None), probe, metrics, duality_gap=probe.gap, regularization=C, density=1.0)]


def fit_sweep(config: ProbingConfig, data: FeatureData) -> list[FittedProbe]:
    """Fit the first k neurons together, for every k."""
    ks = config.search.sparsity_levels(data.width)
    neurons = data.select(data.top(RANKING, ks[-1]))

    def held_out(x: NDArray, y: Floats, folds: Sequence[Split], Cs: Sequence[float]) -> Floats:
        return nested_ridge_held_out_predictions(x, y, ks, folds, [1 / C for C in Cs])

    choice = choose_regularization(config, data, neurons, held_out, len(ks))
    C_of = dict(zip(ks, choice.values, strict=True))
    fits: dict[int, RidgeFit] = {}
    for C in sorted(set(choice.values)):
        own_ks = [k for k in ks if C_of[k] == C]
        fits |= fit_nested_top_k_regression(neurons.x_train, neurons.y_train, own_ks, alpha=1 / C)
    fits = {k: replace(fits[k], status=choice.status(fits[k].status)) for k in ks}
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
            regularization=C_of[k],
            density=k / data.width,
        )
        for i, k in enumerate(ks)
    ]
