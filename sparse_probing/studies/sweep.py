"""Probes of the k best-ranked neurons, for growing k, to see how many neurons carry the feature."""

from __future__ import annotations

from functools import partial

from numpy.typing import NDArray

from sparse_probing.config import ProbingConfig, RankingName
from sparse_probing.probes.l2.logistic import LogisticFit, fit_nested_top_k, nested_scores
from sparse_probing.probes.validation import Floats
from sparse_probing.results import FittedProbe
from sparse_probing.studies.base.choose_regularization import Scorer, choose_regularization
from sparse_probing.studies.base.logistic_probe import logistic_probe
from sparse_probing.studies.base.metrics import classification
from sparse_probing.studies.base.problem import Problem
from sparse_probing.studies.base.sparsity_levels import sparsity_levels


def fit(config: ProbingConfig, problem: Problem) -> list[FittedProbe]:
    """Sweep over k by the chosen ranking."""
    return sweep(config, problem, config.search.heuristic_feature_selection_method)


def fit_random(config: ProbingConfig, problem: Problem) -> list[FittedProbe]:
    """Sweep over k in random order: in a rotated basis, probes of random k-dimensional subspaces."""
    return sweep(config, problem, "random")


def random_ranking(_config: ProbingConfig) -> tuple[RankingName, ...]:
    """Return the random order."""
    return ("random",)


def sweep(config: ProbingConfig, problem: Problem, ranking: str) -> list[FittedProbe]:
    """Fit the first k neurons of a ranking together, for every k."""
    ks = sparsity_levels(config, problem.width)
    data = problem.columns(problem.top(ranking, ks[-1]))
    chosen = choose_regularization(config, problem, data, partial(_fit_all, ks), len(ks))
    fits = _fit_each(data.x_train, data.y_train, ks, chosen)
    metrics = data.metrics(lambda x: nested_scores(fits, x), classification(data))
    return [
        logistic_probe(
            data, slice(k), fits[k], metrics[i], ranking, regularization=chosen[i], density=k / problem.width
        )
        for i, k in enumerate(ks)
    ]


def _fit_each(x: NDArray, y: Floats, ks: list[int], chosen: list[float]) -> dict[int, LogisticFit]:
    """Fit every k with its own C; those that share one are fitted together."""
    fits: dict[int, LogisticFit] = {}
    for C in sorted(set(chosen)):
        fits |= fit_nested_top_k(x, y, [k for k, own in zip(ks, chosen, strict=True) if own == C], C=C)
    return {k: fits[k] for k in ks}


def _fit_all(ks: list[int], x: NDArray, y: Floats, C: float) -> Scorer:
    return partial(nested_scores, fit_nested_top_k(x, y, ks, C=C))
