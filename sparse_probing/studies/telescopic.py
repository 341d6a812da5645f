"""From many neurons to few: the largest coefficients of a probe are the neurons of the next smaller one.

A cheap ranking chooses the first ``max_k`` neurons; elastic-net probes choose all smaller sets. Neurons are in the
units of the paper's code (standard deviation 0.1), because its penalties are made for them: on neurons of standard
deviation 1 the same penalty is ten times (L1) to a hundred times (L2) weaker.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import product

import numpy as np

from sparse_probing.config import ChosenRanking, ProbingConfig
from sparse_probing.probes.inputs.validation import Integers
from sparse_probing.probes.l1.l1_path import fit_l1_path
from sparse_probing.probes.splits.grouped_split import grouped_stratified_split
from sparse_probing.studies.base.feature_data import FeatureData, SplitRows
from sparse_probing.studies.base.metrics import classification
from sparse_probing.studies.base.result_rows import FittedProbe

Penalty = tuple[float, float]
"""``(C, l1_ratio)`` of the objective C * loss + l1_ratio |coef| + (1 - l1_ratio) coef^2 / 2."""

L1_RATIOS = tuple(np.linspace(0.1, 0.9, 5).tolist())
STRENGTHS = tuple(np.logspace(-2, 2, 5).tolist())
"""The grid of Gurnee et al. (2023)."""
ALL_REMOVED = "The penalty removed every neuron: C multiplies a sum over rows, and these are too few for it."


def ranking_in_paper_units(config: ProbingConfig) -> tuple[ChosenRanking, ...]:
    """Return the ranking of ``--heuristic_feature_selection_method`` for neurons in the units of the paper's code.

    The paper's code ranks the neurons after it has scaled them. The difference of the means of scaled neurons is
    ``mean_dif_standardised``; no other ranking depends on the scale.
    """
    name = config.search.heuristic_feature_selection_method
    return ("mean_dif_standardised" if name == "mean_dif" else name,)


def penalty_of_k(k: int) -> Penalty:
    """Return the penalty of Gurnee et al. (2023): the fewer neurons, the more L1."""
    return k / 20, float(np.clip(np.exp(-k / 20), 0.1, 0.9))


def fit(config: ProbingConfig, data: FeatureData) -> list[FittedProbe]:
    """Sweep k downwards with the penalties of Gurnee et al. (2023)."""
    return _telescope(config, data, penalty_of_k)


def fit_grid(config: ProbingConfig, data: FeatureData) -> list[FittedProbe]:
    """Sweep k downwards with every penalty of a grid; all probes are returned, and none is chosen.

    This is ``tune_telescoping_sparsity_sweep`` of the paper's code. Compare the rows by their training scores:
    the test scores of the best of many are too high.
    """
    probes: list[FittedProbe] = []
    for l1_ratio, C in product(L1_RATIOS, STRENGTHS):
        probes += _telescope(config, data, lambda _k, penalty=(C, l1_ratio): penalty)
    return probes


def fit_chosen(config: ProbingConfig, data: FeatureData) -> list[FittedProbe]:
    """Sweep k downwards with the one penalty of the grid that does best on a held-out part of the training rows.

    "Best" is the lowest log loss, averaged over k. The neurons of the largest k were ranked on all
    training rows, so that loss is a fair choice between penalties but too low as an estimate.
    """
    split = grouped_stratified_split(
        data.train.label, data.train.group, config.split.test_set_frac, config.activations.seed
    )
    inner = replace(data, train=_subset(data.train, split.train), test=_subset(data.train, split.test))
    grid = list(product(STRENGTHS, L1_RATIOS))
    losses = []
    for penalty in grid:
        probes = _telescope(config, inner, lambda _k, penalty=penalty: penalty)
        losses.append(np.mean([probe.metrics["test_log_loss"] for probe in probes]))
    best = grid[int(np.argmin(losses))]
    return _telescope(config, data, lambda _k: best)


def _subset(rows: SplitRows, indices: Integers) -> SplitRows:
    return SplitRows(rows.row[indices], rows.label[indices], rows.sequence[indices], rows.group[indices])


def _telescope(config: ProbingConfig, data: FeatureData, penalty: Callable[[int], Penalty]) -> list[FittedProbe]:
    """Fit from the largest k to the smallest; neurons have one standard deviation, so that coefficients compare."""
    (ranking,) = ranking_in_paper_units(config)
    ks = config.search.sparsity_levels(data.width)
    neurons = replace(data, scaling="paper").select(data.top(ranking, ks[-1]))
    within, probes = np.arange(len(neurons.indices)), []
    for k in reversed(ks):
        within = within[:k]
        C, l1_ratio = penalty(k)
        (fit,) = fit_l1_path(
            neurons.x_train[:, within], neurons.y_train, Cs=[C], l1_ratio=l1_ratio, standardize=False
        ).fits
        # A coefficient for each of the k neurons; those that the penalty removed have 0.
        coef = np.zeros(k)
        coef[fit.support] = fit.coef
        status = fit.status if coef.any() else f"{fit.status} {ALL_REMOVED}"
        fit = replace(fit, support=np.arange(k), coef=coef, status=status)
        (metrics,) = neurons.metrics(
            lambda x, w=within, f=fit: (x[:, w] @ f.coef + f.intercept)[:, None], classification(neurons.y_train)
        )
        probes.append(
            neurons.probe(
                "elastic_net_logistic",
                within,
                fit,
                metrics,
                ranking,
                scaling="paper",
                duality_gap=fit.gap,
                regularization=fit.strength,
                l1_ratio=l1_ratio,
                density=np.count_nonzero(coef) / data.width,
            )
        )
        within = within[np.argsort(-np.abs(coef), kind="stable")]
    return probes[::-1]
