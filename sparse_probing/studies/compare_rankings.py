"""The same sweep by every ranking: shows which way to choose neurons finds the best probes."""

from __future__ import annotations

from typing import get_args

from sparse_probing.config import ProbingConfig, RankingName
from sparse_probing.studies.base.feature_data import FeatureData
from sparse_probing.studies.base.result_rows import FittedProbe
from sparse_probing.studies.heuristic_sweep import fit as fit_sweep

COMPARED: tuple[RankingName, ...] = get_args(RankingName)


def fit(config: ProbingConfig, data: FeatureData) -> list[FittedProbe]:
    """Sweep over k once by each ranking."""
    return [probe for ranking in COMPARED for probe in fit_sweep(config, data, ranking)]
