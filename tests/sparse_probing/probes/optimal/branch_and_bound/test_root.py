"""The first support of a search, and the relaxation of all supports."""

import numpy as np
import pytest

from sparse_probing.probes.optimal.branch_and_bound import root as module
from sparse_probing.probes.optimal.branch_and_bound.incumbent import Incumbent
from sparse_probing.probes.optimal.branch_and_bound.local_search import SupportFits
from sparse_probing.probes.optimal.branch_and_bound.root import first_support, solve_root
from sparse_probing.probes.optimal.result import Clock, Limits
from tests.builders.optimal.instances import LOSSES, hard
from tests.builders.optimal.reference import brute_force

CLOCK = Clock(Limits(seconds=60))


def test_starts_are_sorted(monkeypatch):
    grown, fits = [], SupportFits(hard("hinge"))
    monkeypatch.setattr(module, "greedy", lambda fits, k, start: grown.append(start) or (0, 1, 2))
    first_support(fits, 3, [(), (5, 2), (9, 1, 0)], CLOCK)
    assert grown == [(), (), (2, 5), (0, 1, 9)]


@pytest.mark.parametrize("loss", LOSSES)
def test_the_first_support_is_the_best_of_its_starts(loss):
    problem = hard(loss)
    fits, values = SupportFits(problem), brute_force(problem, 3)
    best = min(values, key=values.__getitem__)
    assert values[first_support(fits, 3, [], CLOCK)] <= np.quantile(list(values.values()), 0.02)
    assert values[first_support(fits, 3, [(11, 12, 13), best], CLOCK)] == pytest.approx(values[best], rel=1e-5)


@pytest.mark.parametrize("loss", LOSSES)
def test_the_root_bounds_all_supports_and_leads_to_a_good_one(loss):
    problem = hard(loss, multiplier=30.0)
    fits, values = SupportFits(problem), brute_force(problem, 3)
    incumbent = Incumbent(fits.fit(max(values, key=values.__getitem__)), 1e-5)
    root = solve_root(fits, 3, incumbent, CLOCK)
    least = min(values.values())
    assert 0.8 * least < root.bound.value <= least * (1 + 1e-7)
    assert incumbent.fit.objective <= np.quantile(list(values.values()), 0.02) * (1 + 1e-5)
