"""From many neurons to few: the largest coefficients of a probe are the neurons of the next smaller one.

A cheap ranking chooses the first ``max_k`` neurons; from there on elastic-net probes choose.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import product

import numpy as np

from sparse_probing.config import ProbingConfig
from sparse_probing.probes.l1.l1_path import fit_l1_path
from sparse_probing.probes.l1.path_following import SparseFit
from sparse_probing.probes.splits.grouped_split import grouped_stratified_split
from sparse_probing.probes.validation import Integers
from sparse_probing.results import FittedProbe
from sparse_probing.studies.base.metrics import classification
from sparse_probing.studies.base.problem import Columns, Problem, Side
from sparse_probing.studies.base.sparsity_levels import sparsity_levels

Penalty = tuple[float, float]
"""``(C, l1_ratio)`` of the objective C * loss + l1_ratio |coef| + (1 - l1_ratio) coef^2 / 2."""

L1_RATIOS = tuple(np.linspace(0.1, 0.9, 5).tolist())
STRENGTHS = tuple(np.logspace(-2, 2, 5).tolist())
"""The grid of Gurnee et al. (2023)."""


def fit(config: ProbingConfig, problem: Problem) -> list[FittedProbe]:
    """Sweep k downwards with the penalties of Gurnee et al. (2023): the fewer neurons, the more L1."""
    return _telescope(config, problem, _penalty_of_k)


def fit_tuned(config: ProbingConfig, problem: Problem) -> list[FittedProbe]:
    """Sweep k downwards with the one penalty of a grid that does best on a held-out part of the training rows.

    "Best" is the lowest log loss, averaged over k. The neurons of the largest k were ranked on all
    training rows, so that loss is a fair choice between penalties but too low as an estimate.
    """
    split = grouped_stratified_split(
        problem.train.label, problem.train.group, config.split.test_set_frac, config.activations.seed
    )
    inner = replace(problem, train=_part(problem.train, split.train), test=_part(problem.train, split.test))
    grid = list(product(STRENGTHS, L1_RATIOS))
    losses = [_validation_loss(_telescope(config, inner, lambda _k, p=penalty: p)) for penalty in grid]
    best = grid[int(np.argmin(losses))]
    return _telescope(config, problem, lambda _k: best)


def _penalty_of_k(k: int) -> Penalty:
    return k / 20, float(np.clip(np.exp(-k / 20), 0.1, 0.9))


def _part(side: Side, rows: Integers) -> Side:
    return Side(side.row[rows], side.label[rows], side.sequence[rows], side.group[rows])


def _validation_loss(probes: list[FittedProbe]) -> float:
    return float(np.mean([probe.metrics["test_log_loss"] for probe in probes]))


def _telescope(config: ProbingConfig, problem: Problem, penalty: Callable[[int], Penalty]) -> list[FittedProbe]:
    """Fit from the largest k to the smallest; neurons are standardised, so that coefficients compare."""
    ranking = config.search.heuristic_feature_selection_method
    ks = sparsity_levels(config, problem.width)
    data = replace(problem, standardise=True).columns(problem.top(ranking, ks[-1]))
    within, probes = np.arange(len(data.neurons)), []
    for k in reversed(ks):
        within = within[:k]
        C, l1_ratio = penalty(k)
        (found,) = fit_l1_path(data.x_train[:, within], data.y_train, Cs=[C], l1_ratio=l1_ratio, standardize=False).fits
        found = _with_zeros(found, k)
        probes.append(_probe(data, within, found, l1_ratio, ranking, problem.width))
        within = within[np.argsort(-np.abs(found.coef), kind="stable")]
    return probes[::-1]


def _with_zeros(fit: SparseFit, k: int) -> SparseFit:
    """Return the fit with a coefficient for each of ``k`` candidates, those it left out too."""
    coef = np.zeros(k)
    coef[fit.support] = fit.coef
    return replace(fit, support=np.arange(k), coef=coef)


def _probe(data: Columns, within: Integers, fit: SparseFit, l1_ratio: float, ranking: str, width: int) -> FittedProbe:
    (metrics,) = data.metrics(lambda x: (x[:, within] @ fit.coef + fit.intercept)[:, None], classification(data))
    return data.probe(
        "elastic_net_logistic",
        within,
        fit,
        metrics,
        ranking,
        normalized=True,
        duality_gap=fit.gap,
        regularization=fit.strength,
        l1_ratio=l1_ratio,
        density=np.count_nonzero(fit.coef) / width,
    )
