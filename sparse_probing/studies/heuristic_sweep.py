"""Probes of the k best-ranked neurons for growing k: shows how many neurons encode the feature."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from numpy.typing import NDArray

from sparse_probing.config import ProbingConfig
from sparse_probing.probes.inputs.validation import Floats, Integers
from sparse_probing.probes.l2.held_out_scores import nested_held_out_scores
from sparse_probing.probes.l2.logistic import LogisticFit, fit_nested_top_k, nested_scores
from sparse_probing.probes.splits.grouped_split import Split
from sparse_probing.studies.base.choose_regularization import choose_regularization
from sparse_probing.studies.base.feature_data import FeatureData
from sparse_probing.studies.base.metrics import classification
from sparse_probing.studies.base.result_rows import FittedProbe


def fit(config: ProbingConfig, data: FeatureData, ranking: str = "") -> list[FittedProbe]:
    """Fit the first k neurons of a ranking together, for every k; by default the ranking of the configuration."""
    ranking = ranking or config.search.heuristic_feature_selection_method
    return fit_ordered(config, data, data.top(ranking, data.width), ranking)


def fit_ordered(config: ProbingConfig, data: FeatureData, order: Integers, ranking: str) -> list[FittedProbe]:
    """Fit the first k of these neurons together, for every k.

    Parameters
    ----------
    config : ProbingConfig
    data : FeatureData
    order : (p,) int
        Neurons of the layer, best first.
    ranking : str
        What ordered them.
    """
    ks = config.search.sparsity_levels(len(order))
    neurons = data.select(order[: ks[-1]])

    def held_out(x: NDArray, y: Floats, folds: Sequence[Split], Cs: Sequence[float]) -> Floats:
        return nested_held_out_scores(x, y, ks, folds, Cs)

    choice = choose_regularization(config, data, neurons, held_out, len(ks))
    C_of = dict(zip(ks, choice.values, strict=True))
    # Those that share C are fitted together.
    fits: dict[int, LogisticFit] = {}
    for C in sorted(set(C_of.values())):
        fits |= fit_nested_top_k(neurons.x_train, neurons.y_train, [k for k in ks if C_of[k] == C], C=C)
    fits = {k: replace(fits[k], status=choice.status(fits[k].status)) for k in ks}
    metrics = neurons.metrics(lambda x: nested_scores(fits, x), classification(neurons.y_train))
    return [
        neurons.logistic_probe(slice(k), fits[k], metrics[i], ranking, regularization=C_of[k], density=k / data.width)
        for i, k in enumerate(ks)
    ]
