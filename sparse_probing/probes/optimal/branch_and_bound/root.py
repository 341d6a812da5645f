"""What every solver begins with: a good support, and the relaxation of all of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from probing_datasets.foundation.errors import ProbeError
from sparse_probing.probes.optimal.branch_and_bound.local_search import (
    Support,
    SupportFits,
    as_support,
    exchange,
    greedy,
)
from sparse_probing.probes.optimal.branch_and_bound.relaxation import ROOT, Effort, Point, Relaxation, relax
from sparse_probing.probes.optimal.branch_and_bound.tree import SMOOTHING, Best
from sparse_probing.probes.optimal.problem import SparseProblem
from sparse_probing.probes.optimal.result import Clock
from sparse_probing.probes.optimal.support_fit import WIDEST

FIRST_WORKING = 120
"""Neurons of the root's first working set."""
ROUGH_ROOT = Effort(newton_steps=12, rounds=12, gap=2e-3, share_of_target=0.0)


def checked_starts(problem: SparseProblem, k: int, starts: Sequence[Support]) -> list[Support]:
    """Return the supports to begin with, in order.

    Raises
    ------
    ProbeError
        When k is out of range, or a start is no support of at most k neurons.
    """
    if not 1 <= k <= problem.width:
        raise ProbeError(f"k must lie between 1 and the {problem.width} neurons of the problem, not {k}.")
    for start in starts:
        if len(set(start)) != len(start) or len(start) > k or not set(start) <= set(range(problem.width)):
            raise ProbeError(f"{start} is no start for supports of {k} of {problem.width} neurons.")
    return [as_support(start) for start in starts]


def first_support(fits: SupportFits, k: int, starts: Sequence[Support], clock: Clock) -> Support:
    """Return the best support that greedy growth, of nothing and of the starts, and exchanges come to."""
    grown = [greedy(fits, k, start) for start in [(), *starts]]
    return min((exchange(fits, s, clock.is_over) for s in grown), key=lambda s: fits.fit(s).objective)


def solve_root(problem: SparseProblem, k: int, best: Best, fits: SupportFits) -> Relaxation:
    """Solve the relaxation of all supports, roughly and then well."""
    free = np.arange(problem.width)
    working = np.union1d(fits.candidates((), FIRST_WORKING), best.fit.support)
    start = Point(free[:0], working, np.zeros(len(working)), 0.0)
    rough = relax(problem, start, free, k, WIDEST, best.target, ROUGH_ROOT)
    if rough.bound.value >= best.target:
        return rough
    return relax(problem, rough.point, free, k, SMOOTHING, best.target, ROOT)


def search_near(root: Relaxation, k: int, best: Best, fits: SupportFits, clock: Clock) -> None:
    """Offer the neurons of the largest shares at the root, after exchanges."""
    if root.bound.value >= best.target or len(root.point.working) < k:
        return
    rounded = root.point.working[np.argsort(-root.shares, kind="stable")[:k]]
    best.offer(fits.fit(exchange(fits, as_support(rounded), clock.is_over)), clock.seconds)
