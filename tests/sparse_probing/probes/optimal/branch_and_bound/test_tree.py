import numpy as np
import pytest

from sparse_probing.probes.optimal.branch_and_bound import tree
from sparse_probing.probes.optimal.branch_and_bound.relaxation import ROOT, Point, relax
from sparse_probing.probes.optimal.branch_and_bound.tree import Best, Tree
from sparse_probing.probes.optimal.result import MARGIN, Clock, Limits
from sparse_probing.probes.optimal.support_fit import fit_support
from tests.sparse_probing.probes.optimal.instances import LOSSES, hard
from tests.sparse_probing.probes.optimal.reference import brute_force


def planted(problem, k, support, gap=1e-5, seconds=1e9):
    """Return a tree whose root is planted and whose best support is the given one."""
    best = Best(fit_support(problem, np.array(support)), gap)
    grown = Tree(problem, k, best, Clock(Limits(seconds=seconds)))
    free = np.arange(problem.width)
    start = Point(free[:0], free, np.zeros(problem.width), 0.0)
    grown.plant(relax(problem, start, free, k, tree.SMOOTHING, best.target, ROOT))
    return grown


@pytest.mark.parametrize("loss", LOSSES)
def test_bounds_are_valid_after_every_node(loss, monkeypatch):
    monkeypatch.setattr(tree, "MOST_SINGLES", 0)
    monkeypatch.setattr(tree, "MOST_PAIRS", 0)
    problem = hard(loss, d=9)
    values = brute_force(problem, 3)
    optimum = min(values.values())
    grown = planted(problem, 3, max(values, key=values.__getitem__))
    bounds, done = [grown.lower_bound], False
    while not done:
        done = grown.grow(grown.n_nodes + 1)
        bounds.append(grown.lower_bound)
        assert grown.lower_bound <= optimum * (1 + 1e-7)
    assert grown.best.fit.objective == pytest.approx(optimum, rel=2e-5)
    assert bounds[-1] >= optimum * (1 - 2e-5)
    assert bounds[0] < bounds[-1]
    assert len(bounds) > 4


def test_nodes_hold_their_bounds_in_order():
    grown = planted(hard("squared"), 4, (10, 11, 12, 13))
    for _ in range(10):
        before = grown.lower_bound
        grown.grow(grown.n_nodes + 1)
        assert grown.lower_bound >= before - 1e-12


@pytest.mark.parametrize(("tolerance", "goal"), [(None, 0.99), (0.0, 1.0), (0.05, 1.05)])
def test_goal(tolerance, goal):
    fit = fit_support(hard("squared"), np.array([0, 1]))
    best = Best(fit, 0.01, tolerance)
    assert best.goal == pytest.approx(goal * fit.objective)
    assert best.target == pytest.approx(best.goal + MARGIN * fit.objective, rel=1e-14)


def test_the_best_takes_better_supports_alone():
    problem = hard("squared")
    values = brute_force(problem, 2)
    order = sorted(values, key=values.__getitem__)
    fits = [fit_support(problem, np.array(support)) for support in (order[5], order[9], order[0], order[1])]
    best = Best(fits[0], 1e-4, tolerance=1e9)
    for seconds, fit in enumerate(fits[1:]):
        best.offer(fit, float(seconds))
    assert tuple(best.fit.support) == order[0]
    assert best.seconds == 1.0
    assert [near.support for near in best.near_supports()] == [order[0], order[1], order[9]]


def test_a_tree_without_time_keeps_its_root_open():
    grown = planted(hard("squared"), 3, (11, 12, 13), seconds=0.0)
    assert not grown.grow(10**9)
    assert grown.n_nodes == 1
    assert grown.lower_bound <= min(brute_force(hard("squared"), 3).values())
