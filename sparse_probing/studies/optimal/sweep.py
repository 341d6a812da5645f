"""The best k neurons for k = 1, 2, ...: each support helps to find the next."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from sparse_probing.config import ProbingConfig
from sparse_probing.interruption import interrupted
from sparse_probing.probes.optimal.problem import SparseProblem, Support
from sparse_probing.probes.optimal.result import OptimalFit
from sparse_probing.probes.validation import Floats, Integers
from sparse_probing.results import FittedProbe
from sparse_probing.studies.base.problem import Problem
from sparse_probing.studies.optimal.candidates import Candidates, candidates
from sparse_probing.studies.optimal.rows import probes_of


def fit(config: ProbingConfig, problem: Problem) -> list[FittedProbe]:
    """Search for supports of up to ``osp_upto_k`` neurons; after a signal, return what was found so far."""
    chosen, probes = candidates(config, problem), []
    sparse = chosen.sparse_problem(config.optimal.osp_ridge)
    for found in growing(chosen, sparse):
        stability = _stability(chosen, found)
        probes += probes_of(chosen, found, config.optimal.osp_ridge, support_stability=stability)
    return probes


def growing(chosen: Candidates, sparse: SparseProblem, record: bool = True) -> Iterator[OptimalFit]:
    """Yield the best supports for growing k."""
    starts: list[Support] = []
    for k in range(1, min(chosen.config.optimal.osp_upto_k, sparse.width) + 1):
        found = chosen.search(sparse, k, starts, record)
        starts = [found.support]
        yield found
        if interrupted():
            return


def _stability(chosen: Candidates, found: OptimalFit) -> Floats | None:
    """Return in what share of resamples of the training groups each neuron of a support is in the best one."""
    n = chosen.config.optimal.osp_resamples
    if not n or interrupted():
        return None
    group, rng = chosen.problem.train.group, chosen.problem.rng("stability")
    counts = np.zeros(len(found.support))
    for _ in range(n):
        rows = _resample(group, chosen.data.y_train, rng)
        again = chosen.search(
            chosen.sparse_problem(chosen.config.optimal.osp_ridge, rows), len(found.support), record=False
        )
        if interrupted():
            return None
        counts += np.isin(found.support, again.support)
    return counts / n


def _resample(group: Integers, y: Floats, rng: np.random.Generator) -> Integers:
    """Draw as many groups as there are, until both classes are among them; a group drawn twice is twice."""
    codes = np.unique(group, return_inverse=True)[1]
    members = np.split(np.argsort(codes, kind="stable"), np.cumsum(np.bincount(codes))[:-1])
    while True:
        rows = np.concatenate([members[i] for i in rng.integers(0, len(members), len(members))])
        if len(np.unique(y[rows])) > 1:
            return rows
