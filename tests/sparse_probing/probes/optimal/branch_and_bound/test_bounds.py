"""Bounds from duals: valid, tight, and screening that never rules out a better support."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparse_probing.probes.optimal.branch_and_bound import bounds
from sparse_probing.probes.optimal.branch_and_bound.bounds import (
    correlation_bound,
    exact_correlations,
    rough_correlations,
    screen,
)
from sparse_probing.probes.optimal.branch_and_bound.local_search import SupportFits
from sparse_probing.probes.optimal.problem import SparseProblem
from tests.builders.optimal.instances import LOSSES, hard, problem_of, problems, random_duals
from tests.builders.optimal.reference import brute_force, dual_bound, optimum

seeds = st.integers(0, 2**32 - 1)


def exact_bound(problem, duals, fixed, free, k):
    """Return the smallest of the bounds of all supports, and the squared correlations, in extended precision."""
    q = (problem.columns.astype(np.longdouble) @ duals.astype(np.longdouble)) ** 2
    worst = q[fixed].sum() + np.sort(q[free])[::-1][:k].sum()
    return dual_bound(problem, duals, ()) - float(problem.ridge / 2 * worst), q


@given(st.sampled_from(LOSSES), seeds, st.integers(0, 4), st.integers(1, 60), st.sampled_from([1e-6, 1.0, 1e6]))
@settings(max_examples=150)
def test_bound_is_valid_and_tight_for_random_duals(loss, seed, k, n_free, unit):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((70, 60)) * 10 ** rng.uniform(-3, 3, 60)
    drawn = problem_of((X, rng.standard_normal(70)), loss, 10.0)
    problem = SparseProblem(drawn.columns, drawn.y, drawn.weight * unit, drawn.ridge / unit, loss)
    duals, order = random_duals(problem, seed), rng.permutation(60)
    free, fixed = order[:n_free], order[n_free : n_free + 2]
    bound = correlation_bound(problem, duals, fixed, free, k)
    value, q = exact_bound(problem, duals, fixed, free, k)
    scale = abs(dual_bound(problem, duals, ())) + abs(value)
    assert bound.value <= value + 1e-11 * scale
    assert bound.value >= value - 1e-4 * scale
    if k:
        assert (bound.squares >= (q[free] * (1 - 1e-11)).astype(float) - 1e-22 * unit**2).all()


@pytest.mark.parametrize("share", [0.0, 2.0])
def test_both_ways_to_correlate_are_accurate_to_single_precision(share, monkeypatch):
    monkeypatch.setattr(bounds, "ALL_AT_ONCE", share)
    problem = hard("hinge", d=40)
    duals, neurons = random_duals(problem, 0), np.array([5, 0, 39, 7])
    exact = problem.columns[neurons].astype(np.longdouble) @ duals
    assert rough_correlations(problem, duals, neurons) == pytest.approx(exact.astype(float), rel=1e-4, abs=1e-6)
    assert exact_correlations(problem.columns, neurons, duals) == pytest.approx(exact.astype(float), rel=1e-13)


@given(problems(widest=5), seeds, st.integers(1, 3), st.integers(0, 2))
@settings(max_examples=40)
def test_no_bound_above_the_optimum(problem, seed, k, n_fixed):
    order = np.random.default_rng(seed).permutation(problem.width)
    fixed, free = order[:n_fixed], order[n_fixed:]
    k = min(k, len(free))
    bound = correlation_bound(problem, random_duals(problem, seed), fixed, free, k)
    for further in combinations(free.tolist(), k):
        support = tuple(sorted([*fixed.tolist(), *further]))
        if support:
            value = optimum(problem, support)
            assert bound.value <= value + 1e-7 * max(value, 1e-4 * problem.weight.sum())


@given(problems(widest=6), seeds, st.integers(1, 3), st.sampled_from([0.05, 0.3, 1.0]), st.floats(0.0, 2.0))
@settings(max_examples=60)
def test_no_better_support_is_screened(problem, seed, k, near, slack):
    """For any duals and any target, a support below the target keeps its neurons and holds those that it must."""
    k = min(k, problem.width)
    values = brute_force(problem, k)
    best, free = min(values.values()), np.arange(problem.width)
    bound = correlation_bound(problem, random_duals(problem, seed, near), free[:0], free, k)
    target = best + slack * max(0.0, float(np.median(list(values.values()))) - best) + 1e-6 * (1 + best)
    out, must = screen(bound, problem.ridge, k, target)
    for support, value in values.items():
        if value < target * (1 - 1e-6):
            assert not out[list(support)].any()
            assert set(np.flatnonzero(must)) <= set(support)


@pytest.mark.parametrize("loss", LOSSES)
def test_good_duals_screen_and_fix_neurons(loss):
    """Control: screening that never rules out or fixes a neuron would pass the test above."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((200, 30))
    problem = problem_of((X, 3 * X[:, 4] - 2 * X[:, 9] + 0.3 * rng.standard_normal(200)), loss, 3.0)
    free = np.arange(30)
    bound = correlation_bound(problem, SupportFits(problem).fit((4, 9)).certificate.duals(problem), free[:0], free, 2)
    out, must = screen(bound, problem.ridge, 2, optimum(problem, (4, 9)) * 1.01)
    assert 4 in np.flatnonzero(must)
    assert set(np.flatnonzero(must)) <= {4, 9}
    assert out.sum() >= 20
    assert not out[[4, 9]].any()


def test_all_free_neurons_are_fixed_if_all_are_needed():
    problem = hard("hinge", d=3)
    bound = correlation_bound(problem, random_duals(problem, 0), np.empty(0, int), np.arange(3), 3)
    out, must = screen(bound, problem.ridge, 3, np.inf)
    assert not out.any()
    assert must.all()
