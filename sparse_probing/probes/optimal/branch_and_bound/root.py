"""The first steps of every solver: a good support, and the relaxation of all supports."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from probing_datasets.foundation.errors import ProbeError
from sparse_probing.probes.optimal.branch_and_bound.incumbent import Incumbent
from sparse_probing.probes.optimal.branch_and_bound.local_search import SupportFits, exchange, greedy
from sparse_probing.probes.optimal.branch_and_bound.relaxation import (
    ROOT,
    SMOOTHING,
    Effort,
    Point,
    Relaxation,
    relax,
)
from sparse_probing.probes.optimal.problem import Support, as_support
from sparse_probing.probes.optimal.result import Clock
from sparse_probing.probes.optimal.support_fit import WIDEST

FIRST_WORKING = 120
"""Number of neurons in the first working set of the root."""
ROUGH_ROOT = Effort(newton_steps=12, rounds=12, gap=2e-3, share_of_target=0.0)


def first_support(fits: SupportFits, k: int, starts: Sequence[Support], clock: Clock) -> Support:
    """Return the best support that greedy growth, from nothing and from every start, and exchanges lead to.

    Raises
    ------
    ProbeError
        If k is out of range, or a start is not a support of at most k neurons.
    """
    width = fits.problem.width
    if not 1 <= k <= width:
        raise ProbeError(f"k must lie between 1 and the {width} neurons of the problem; got {k}.")
    for start in starts:
        if len(set(start)) != len(start) or len(start) > k or not set(start) <= set(range(width)):
            raise ProbeError(
                f"A start must be a support of at most {k} different neurons between 0 and {width - 1}; got {start}."
            )
    grown = [greedy(fits, k, start) for start in [(), *map(as_support, starts)]]
    return min((exchange(fits, s, clock.is_over) for s in grown), key=lambda s: fits.fit(s).objective)


def solve_root(fits: SupportFits, k: int, incumbent: Incumbent, clock: Clock) -> Relaxation:
    """Return the relaxation of all supports of k neurons, and offer the support that it is rounded to."""
    problem = fits.problem
    free = np.arange(problem.width)
    working = np.union1d(fits.candidates((), FIRST_WORKING), incumbent.fit.support)
    start = Point(working, 0, np.zeros(len(working)), 0.0)
    root = relax(problem, start, free, k, WIDEST, incumbent.target, ROUGH_ROOT)
    if root.bound.value >= incumbent.target:
        return root
    root = relax(problem, root.point, free, k, SMOOTHING, incumbent.target, ROOT)
    rounded = root.rounded(k)
    if root.bound.value < incumbent.target and rounded is not None:
        incumbent.offer(fits.fit(exchange(fits, rounded, clock.is_over)), clock.seconds)
    return root
