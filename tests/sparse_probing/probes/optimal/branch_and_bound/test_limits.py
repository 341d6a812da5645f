"""Searches that end early, by time, nodes or interruption, and searches that list near-optimal supports."""

import pytest

from sparse_probing.probes.optimal.branch_and_bound import solver
from sparse_probing.probes.optimal.branch_and_bound.solver import branch_and_bound
from sparse_probing.probes.optimal.result import Clock, Limits
from tests.builders.optimal.instances import LOSSES, hard, without_local_search
from tests.builders.optimal.reference import assert_honest, brute_force


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize(
    "limits",
    [Limits(seconds=0.0), Limits(nodes=1), Limits(nodes=5), Limits(nodes=20), Limits(gap=0.05), Limits(gap=0.5)],
)
def test_limits(loss, limits):
    """Any limit leaves a valid support, its objective, and a bound below the optimum."""
    problem = hard(loss, d=10)
    values = brute_force(problem, 3)
    with without_local_search():
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
    n_calls = []

    def interrupted():
        n_calls.append(1)
        return len(n_calls) > calls

    problem = hard(loss, d=10)
    values = brute_force(problem, 3)
    with without_local_search():
        fit = branch_and_bound(problem, 3, Limits(interrupted=interrupted))
    assert_honest(problem, fit, values)
    assert fit.status == ("interrupted" if len(n_calls) > calls else "proved")
    if calls <= 3:
        assert fit.status == "interrupted"
    n_calls.clear()
    assert_honest(problem, branch_and_bound(problem, 3, Limits(interrupted=interrupted)), values)


def test_no_node_is_branched_on_after_the_time_limit(monkeypatch):
    """The clock of the search moves by half a second with each relaxation, and only then."""
    now, relax = [0.0], solver.relax

    def relax_for_half_a_second(*arguments, **options):
        now[0] += 0.5
        return relax(*arguments, **options)

    monkeypatch.setattr(Clock, "seconds", property(lambda self: now[0]))
    monkeypatch.setattr(solver, "relax", relax_for_half_a_second)
    fit = branch_and_bound(hard("hinge", d=400, n=300, multiplier=300.0), 6, Limits(seconds=10.0))
    assert fit.status == "gap"
    assert fit.seconds == 10.0
    assert fit.nodes == 21  # the root, and two nodes from each of ten branches
    assert fit.lower_bound <= fit.objective


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("tolerance", [0.0, 0.02, 0.2])
def test_near_supports_are_exactly_those_of_brute_force(loss, tolerance):
    problem = hard(loss, d=9, multiplier=100.0)
    values = brute_force(problem, 3)
    best = min(values.values())
    for only_tree in (False, True):
        if only_tree:
            with without_local_search():
                fit = branch_and_bound(problem, 3, Limits(), tolerance=tolerance)
        else:
            fit = branch_and_bound(problem, 3, Limits(), tolerance=tolerance)
        assert_honest(problem, fit, values)
        assert fit.status == "proved"
        certain = {s for s, value in values.items() if value <= best * (1 + tolerance - 3e-6)}
        possible = {s for s, value in values.items() if value <= best * (1 + tolerance + 3e-6)}
        listed = [near.support for near in fit.near_supports]
        assert certain <= set(listed) <= possible
        assert len(listed) == len(set(listed))
        assert len(possible) - len(certain) <= 1
        for near in fit.near_supports:
            assert near.objective == pytest.approx(values[near.support], rel=2e-6)
        assert [near.objective for near in fit.near_supports] == sorted(near.objective for near in fit.near_supports)
    if tolerance == 0.2:
        assert len(certain) > 3


def test_near_supports_of_a_search_cut_short_are_near():
    problem = hard("squared", d=10)
    with without_local_search():
        fit = branch_and_bound(problem, 3, Limits(nodes=9), tolerance=0.3)
    values = brute_force(problem, 3)
    assert all(near.objective == pytest.approx(values[near.support]) for near in fit.near_supports)
    assert all(near.objective <= fit.objective * 1.3 * (1 + 1e-9) for near in fit.near_supports)
