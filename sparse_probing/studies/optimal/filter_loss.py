"""What is lost when supports are sought only among the neurons that a ranking put first."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain

import numpy as np

from sparse_probing.config import ProbingConfig
from sparse_probing.studies.base.feature_data import FeatureData
from sparse_probing.studies.base.interruption import interrupted
from sparse_probing.studies.base.result_rows import FittedProbe
from sparse_probing.studies.optimal.candidates import Candidates
from sparse_probing.studies.optimal.optimal_probes import probes_of
from sparse_probing.studies.optimal.sweep import growing

SIZES = (10, 25, 50, 100, 250, 1000)
"""Of the filter: 50 is the paper's."""


def n_searches(config: ProbingConfig) -> int:
    """Return the largest number of searches for one feature: in the layer, and after every filter."""
    return config.optimal.osp_upto_k * (1 + len({*SIZES, config.optimal.osp_heuristic_filter_size}))


def fit(config: ProbingConfig, data: FeatureData) -> list[FittedProbe]:
    """Search the whole layer, and then ever more of the best-ranked neurons; ``excess`` compares the objectives."""
    ranking = config.search.heuristic_feature_selection_method
    filter_sizes = {*SIZES, config.optimal.osp_heuristic_filter_size}
    filtered = (
        Candidates(config, data, data.select(np.sort(data.top(ranking, size))), ranking)
        for size in sorted(size for size in filter_sizes if 0 < size < data.width)
    )
    return compare_with_layer(config, data, filtered, config.optimal.osp_ridge)


def compare_with_layer(
    config: ProbingConfig, data: FeatureData, filtered: Iterable[Candidates], multiplier: float
) -> list[FittedProbe]:
    """Search the whole layer and then filtered ones; ``excess`` is how far an objective is above that of the layer.

    Parameters
    ----------
    config : ProbingConfig
    data : FeatureData
    filtered : iterable of Candidates
    multiplier : float
        Of the ridge.
    """
    best_objectives: dict[int, float] = {}  # of the whole layer, by k
    probes: list[FittedProbe] = []
    for searched in chain([Candidates(config, data, data.select())], filtered):
        for optimum in growing(searched, searched.sparse_problem(multiplier)):
            reference = best_objectives.setdefault(len(optimum.support), optimum.objective)
            probes += probes_of(searched, optimum, multiplier, excess=optimum.objective / reference - 1)
        if interrupted():
            break
    return probes
