"""What is lost when supports are sought among a few neurons that a ranking chose first."""

from __future__ import annotations

import numpy as np

from sparse_probing.config import ProbingConfig
from sparse_probing.interruption import interrupted
from sparse_probing.results import FittedProbe
from sparse_probing.studies.base.problem import Problem
from sparse_probing.studies.optimal.candidates import Candidates
from sparse_probing.studies.optimal.rows import probes_of
from sparse_probing.studies.optimal.sweep import growing

SIZES = (10, 25, 50, 100, 250, 1000)
"""Of the filter: 50 is the paper's."""


def fit(config: ProbingConfig, problem: Problem) -> list[FittedProbe]:
    """Search the whole layer, and then ever more of the best-ranked neurons; ``excess`` compares the objectives."""
    best: dict[int, float] = {}
    ranking = config.search.heuristic_feature_selection_method
    probes = _probes(Candidates(config, problem, problem.columns()), best)
    for size in _sizes(config, problem.width):
        if interrupted():
            break
        ranked = np.sort(problem.top(ranking, size))
        probes += _probes(Candidates(config, problem, problem.columns(ranked), ranking), best)
    return probes


def _sizes(config: ProbingConfig, width: int) -> list[int]:
    """Return sizes of the filter below the width, that of the command line among them."""
    return sorted(size for size in {*SIZES, config.optimal.osp_heuristic_filter_size} if 0 < size < width)


def _probes(among: Candidates, best: dict[int, float]) -> list[FittedProbe]:
    """Return the probes for growing k; the first call's objectives become those that others are compared with."""
    probes = []
    for found in growing(among, among.sparse_problem(among.config.optimal.osp_ridge)):
        reference = best.setdefault(len(found.support), found.objective)
        probes += probes_of(among, found, among.config.optimal.osp_ridge, excess=found.objective / reference - 1)
    return probes
