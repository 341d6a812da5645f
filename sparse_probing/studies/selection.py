"""The same sweep by every ranking, to see which way of choosing neurons finds the best probes."""

from __future__ import annotations

from typing import get_args

from sparse_probing.config import ProbingConfig, RankingName
from sparse_probing.results import FittedProbe
from sparse_probing.studies.base.problem import Problem
from sparse_probing.studies.sweep import sweep

COMPARED: tuple[RankingName, ...] = get_args(RankingName)


def fit(config: ProbingConfig, problem: Problem) -> list[FittedProbe]:
    """Sweep over k once by each ranking."""
    return [probe for ranking in COMPARED for probe in sweep(config, problem, ranking)]


def all_rankings(_config: ProbingConfig) -> tuple[RankingName, ...]:
    """Return the rankings that are compared."""
    return COMPARED
