"""What is lost when supports are sought only among the neurons that a ranking put first."""

from __future__ import annotations

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


def fit(config: ProbingConfig, data: FeatureData) -> list[FittedProbe]:
    """Search the whole layer, and then ever more of the best-ranked neurons; ``excess`` compares the objectives."""
    ranking = config.search.heuristic_feature_selection_method
    filter_sizes = {*SIZES, config.optimal.osp_heuristic_filter_size}
    best_objectives: dict[int, float] = {}  # of the whole layer, by k
    probes: list[FittedProbe] = []
    for size in [data.width, *sorted(size for size in filter_sizes if 0 < size < data.width)]:
        if size == data.width:
            candidates = Candidates(config, data, data.select())
        else:
            candidates = Candidates(config, data, data.select(np.sort(data.top(ranking, size))), ranking)
        multiplier = config.optimal.osp_ridge
        for optimum in growing(candidates, candidates.sparse_problem(multiplier)):
            reference = best_objectives.setdefault(len(optimum.support), optimum.objective)
            probes += probes_of(candidates, optimum, multiplier, excess=optimum.objective / reference - 1)
        if interrupted():
            break
    return probes
