"""The same sweep by every ranking, to see which way of choosing neurons finds the best probes."""

from __future__ import annotations

from typing import get_args

from experiments.config import ProbingConfig, RankingName
from experiments.results import FittedProbe
from experiments.studies.problem import Problem
from experiments.studies.sweep import sweep

COMPARED: tuple[RankingName, ...] = get_args(RankingName)


def fit(config: ProbingConfig, problem: Problem) -> list[FittedProbe]:
    """Sweep over k once by each ranking."""
    return [probe for ranking in COMPARED for probe in sweep(config, problem, ranking)]


def all_rankings(_config: ProbingConfig) -> tuple[RankingName, ...]:
    """Return the rankings that are compared."""
    return COMPARED
