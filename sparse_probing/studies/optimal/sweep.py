"""The best k neurons for k = 1, 2, ...: each support helps to find the next."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from sparse_probing.config import ProbingConfig
from sparse_probing.probes.inputs.validation import Floats, Integers
from sparse_probing.probes.optimal.problem import SparseProblem, Support
from sparse_probing.probes.optimal.result import OptimalFit
from sparse_probing.studies.base.feature_data import FeatureData
from sparse_probing.studies.base.interruption import interrupted
from sparse_probing.studies.base.result_rows import FittedProbe
from sparse_probing.studies.optimal.candidates import Candidates, candidates
from sparse_probing.studies.optimal.optimal_probes import probes_of


def n_searches(config: ProbingConfig) -> int:
    """Return the largest number of searches for one feature."""
    return config.optimal.osp_upto_k * (1 + config.optimal.osp_resamples)


def fit(config: ProbingConfig, data: FeatureData) -> list[FittedProbe]:
    """Search for supports of up to ``osp_upto_k`` neurons; after a signal, return those found before it."""
    searched, multiplier = candidates(config, data), config.optimal.osp_ridge
    probes = []
    for optimum in growing(searched, searched.sparse_problem(multiplier)):
        stability = _stability(searched, optimum)
        probes += probes_of(searched, optimum, multiplier, support_stability=stability)
    return probes


def growing(searched: Candidates, sparse: SparseProblem, record: bool = True) -> Iterator[OptimalFit]:
    """Yield the best supports for growing k; a signal ends the series."""
    starts: list[Support] = []
    for k in range(1, min(searched.config.optimal.osp_upto_k, sparse.width) + 1):
        optimum = searched.search(sparse, k, starts, record)
        starts = [optimum.support]
        yield optimum
        if interrupted():
            return


def _stability(searched: Candidates, optimum: OptimalFit) -> Floats | None:
    """Return the share of resamples of the training groups whose best support has each neuron of this one."""
    n_resamples, multiplier = searched.config.optimal.osp_resamples, searched.config.optimal.osp_ridge
    if not n_resamples or interrupted():
        return None
    group, rng = searched.data.train.group, searched.data.rng("stability")
    counts = np.zeros(len(optimum.support))
    for _ in range(n_resamples):
        rows = _resample(group, searched.neurons.y_train, rng)
        resampled = searched.search(searched.sparse_problem(multiplier, rows), len(optimum.support), record=False)
        if interrupted():
            return None
        counts += np.isin(optimum.support, resampled.support)
    return counts / n_resamples


def _resample(group: Integers, y: Floats, rng: np.random.Generator) -> Integers:
    """Draw as many groups as there are, with replacement, until their rows have more than one label."""
    codes = np.unique(group, return_inverse=True)[1]
    members = np.split(np.argsort(codes, kind="stable"), np.cumsum(np.bincount(codes))[:-1])
    while True:
        rows = np.concatenate([members[i] for i in rng.integers(0, len(members), len(members))])
        if len(np.unique(y[rows])) > 1:
            return rows
