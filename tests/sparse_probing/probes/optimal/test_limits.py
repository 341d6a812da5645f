"""Searches that end before they are done, and searches for more than the best."""

import pytest

from sparse_probing.probes.optimal.branch_and_bound.solver import branch_and_bound
from sparse_probing.probes.optimal.result import Limits
from tests.sparse_probing.probes.optimal.instances import LOSSES, hard, tree_alone
from tests.sparse_probing.probes.optimal.reference import assert_honest, brute_force


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize(
    "limits",
    [Limits(seconds=0.0), Limits(nodes=1), Limits(nodes=5), Limits(nodes=20), Limits(gap=0.05), Limits(gap=0.5)],
)
def test_limits(loss, limits):
    """Whatever ends the search: a true support, its objective, and a bound below the optimum."""
    problem = hard(loss, d=10)
    values = brute_force(problem, 3)
    with tree_alone():
        fit = branch_and_bound(problem, 3, limits)
    assert_honest(problem, fit, values)
    assert fit.nodes <= max(1, limits.nodes) + 1
    if limits.gap > 1e-3:
        assert fit.status == "proved"
        assert fit.objective <= min(values.values()) * (1 + 2 * limits.gap)
        assert fit.gap <= limits.gap * (1 + 1e-6)
    elif limits.nodes <= 5 or limits.seconds == 0:
        assert fit.status == "gap"
        assert fit.gap > limits.gap


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("calls", [0, 1, 3, 10, 30])
def test_interruption(loss, calls):
    asked = []

    def interrupted():
        asked.append(1)
        return len(asked) > calls

    problem = hard(loss, d=10)
    values = brute_force(problem, 3)
    with tree_alone():
        fit = branch_and_bound(problem, 3, Limits(interrupted=interrupted))
    assert_honest(problem, fit, values)
    assert fit.status == ("interrupted" if len(asked) > calls else "proved")
    if calls <= 3:
        assert fit.status == "interrupted"
    asked.clear()
    assert_honest(problem, branch_and_bound(problem, 3, Limits(interrupted=interrupted)), values)


def test_time_is_kept():
    problem = hard("hinge", d=400, n=300, multiplier=300.0)
    fit = branch_and_bound(problem, 6, Limits(seconds=1.5))
    assert fit.status == "gap"
    assert fit.seconds < 4
    assert fit.lower_bound <= fit.objective
    assert fit.nodes > 1


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("tolerance", [0.0, 0.02, 0.2])
def test_near_supports_are_exactly_those_of_brute_force(loss, tolerance):
    problem = hard(loss, d=9, multiplier=100.0)
    values = brute_force(problem, 3)
    best = min(values.values())
    for alone in (False, True):
        if alone:
            with tree_alone():
                fit = branch_and_bound(problem, 3, Limits(), tolerance=tolerance)
        else:
            fit = branch_and_bound(problem, 3, Limits(), tolerance=tolerance)
        assert_honest(problem, fit, values)
        assert fit.status == "proved"
        sure = {s for s, value in values.items() if value <= best * (1 + tolerance - 3e-6)}
        perhaps = {s for s, value in values.items() if value <= best * (1 + tolerance + 3e-6)}
        found = [near.support for near in fit.near]
        assert sure <= set(found) <= perhaps
        assert len(found) == len(set(found))
        assert len(perhaps) - len(sure) <= 1
        for near in fit.near:
            assert near.objective == pytest.approx(values[near.support], rel=2e-6)
        assert [near.objective for near in fit.near] == sorted(near.objective for near in fit.near)
    if tolerance == 0.2:
        assert len(sure) > 3


def test_near_supports_when_time_ends_are_near():
    problem = hard("squared", d=10)
    with tree_alone():
        fit = branch_and_bound(problem, 3, Limits(nodes=9), tolerance=0.3)
    values = brute_force(problem, 3)
    assert all(near.objective == pytest.approx(values[near.support]) for near in fit.near)
    assert all(near.objective <= fit.objective * 1.3 * (1 + 1e-9) for near in fit.near)
