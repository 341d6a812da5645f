"""The paper's ``osp_tuning``: optimal supports for a grid of ridges, all of which are reported."""

from __future__ import annotations

import numpy as np

from sparse_probing.config import ProbingConfig
from sparse_probing.studies.base.feature_data import FeatureData
from sparse_probing.studies.base.interruption import interrupted
from sparse_probing.studies.base.result_rows import FittedProbe
from sparse_probing.studies.optimal.candidates import best_ranked
from sparse_probing.studies.optimal.optimal_probes import probes_of
from sparse_probing.studies.optimal.sweep import growing

RANKING = "mean_dif_standardised"
"""Chooses the candidates: the mean difference of the scaled neurons."""
EXPONENTS = tuple(np.linspace(0.75, 1 / 3, 6).tolist())
SHARE = 0.2
"""Share of the rows from whose number the ridges are computed."""


def n_searches(config: ProbingConfig) -> int:
    """Return the largest number of searches for one feature."""
    return config.optimal.osp_upto_k * len(EXPONENTS)


def fit(config: ProbingConfig, data: FeatureData) -> list[FittedProbe]:
    """Search among the candidates for k = 1, 2, ... with every ridge ``(n_train / 5) ** -p``.

    p is .75, .67, .58, .5, .42, .33: from a strong to a weak penalty. Nothing is chosen. The code of Gurnee et al.
    (2023) also draws another split for each ridge; here all are compared on the same rows.
    """
    searched, probes = best_ranked(config, data, RANKING), []
    for exponent in EXPONENTS:
        multiplier = (SHARE * searched.n_train) ** -exponent * np.sqrt(searched.n_train)
        for optimum in growing(searched, searched.sparse_problem(multiplier)):
            probes += probes_of(searched, optimum, multiplier)
        if interrupted():
            break
    return probes
