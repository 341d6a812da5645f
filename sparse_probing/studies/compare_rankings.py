"""The same sweep by several rankings: shows which way to choose neurons finds the best probes."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import numpy as np

from sparse_probing.config import ProbingConfig, RankingName
from sparse_probing.studies.base.feature_data import FeatureData
from sparse_probing.studies.base.rank_neurons import ranked
from sparse_probing.studies.base.result_rows import FittedProbe
from sparse_probing.studies.heuristic_sweep import fit as fit_sweep
from sparse_probing.studies.heuristic_sweep import fit_ordered

COMPARED: tuple[RankingName, ...] = get_args(RankingName)

PAPER_COMPARED: tuple[RankingName, ...] = ("f_stat", "mi", "lr", "mean_dif", "random")
PAPER_FILTER = 512
"""Neurons among which the paper's code compares rankings: those with the largest mean difference."""


def fit(config: ProbingConfig, data: FeatureData) -> list[FittedProbe]:
    """Sweep over k once by each ranking of the whole layer."""
    return [probe for ranking in COMPARED for probe in fit_sweep(config, data, ranking)]


def fit_filtered(config: ProbingConfig, data: FeatureData) -> list[FittedProbe]:
    """Sweep over k once by each ranking of the paper's code, computed among the 512 best by mean difference only.

    This is ``compare_feature_selection`` of that code. Its ``random`` is not a baseline: it draws from chosen
    neurons. A probe has at most these 512 neurons.
    """
    candidates = np.sort(data.top("mean_dif", PAPER_FILTER))  # sorted: of equal scores the lower neuron comes first
    (among,) = ranked([replace(data, layer=np.asfortranarray(data.layer[:, candidates]))], PAPER_COMPARED)
    return [
        probe
        for ranking in PAPER_COMPARED
        for probe in fit_ordered(config, data, candidates[among.top(ranking, len(candidates))], ranking)
    ]
