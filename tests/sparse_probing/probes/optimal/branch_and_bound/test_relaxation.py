"""The relaxation of a node: its bound holds, is accurate, and belongs to its certificate."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from sparse_probing.probes.optimal.branch_and_bound.relaxation import ROOT, Point, relax
from sparse_probing.probes.optimal.branch_and_bound.solver import branch_and_bound
from sparse_probing.probes.optimal.result import Limits
from tests.builders.optimal.instances import KINDS, LOSSES, hard, make_problem, problems
from tests.builders.optimal.reference import CERTIFIED, dual_bound, duals_of, optimum


def from_nothing(fixed, free):
    """Return a starting point of zeros over all neurons."""
    columns = np.concatenate([fixed, free])
    return Point(columns, len(fixed), np.zeros(len(columns)), 0.0)


def least_of_node(problem, fixed, free, k):
    supports = (tuple(sorted([*fixed.tolist(), *further])) for further in combinations(free.tolist(), k))
    return min(optimum(problem, support) for support in supports)


def check(problem, fixed, free, k):
    """Check that a relaxation bounds its node, by its certificate; return it and the optimum of the node."""
    least = least_of_node(problem, fixed, free, k)
    relaxation = relax(problem, from_nothing(fixed, free), free, k, 0.1, least, ROOT)
    scale = max(least, 1e-4 * problem.weight.sum())
    duals = duals_of(problem, relaxation.certificate)
    squares = np.sort((problem.columns[free].astype(float) @ duals) ** 2)[::-1]
    again = dual_bound(problem, duals, fixed) - problem.ridge / 2 * squares[:k].sum()
    assert relaxation.bound.value == pytest.approx(again, abs=1e-9 * scale)
    assert relaxation.bound.value <= least + CERTIFIED * scale
    assert relaxation.bound.value <= relaxation.objective + CERTIFIED * scale
    assert relaxation.shares.sum() <= k * (1 + 1e-9)
    assert set(relaxation.point.columns[len(fixed) :].tolist()) <= set(free.tolist())
    return relaxation, least


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("loss", LOSSES)
def test_relaxations_bound_their_nodes(kind, loss):
    for multiplier in (1.0, 100.0):
        problem = make_problem(kind, loss, multiplier)
        order = np.random.default_rng(0).permutation(problem.width)
        for n_fixed, k in ((0, 1), (0, 2), (1, 2), (2, 1)):
            check(problem, np.sort(order[:n_fixed]), order[n_fixed:], k)


@given(problems(widest=5), st.integers(0, 2), st.integers(1, 2), st.integers(0, 2**32 - 1))
@settings(max_examples=40)
def test_drawn_relaxations_bound_their_nodes(problem, n_fixed, k, seed):
    order = np.random.default_rng(seed).permutation(problem.width)
    if n_fixed + k <= problem.width:
        check(problem, order[:n_fixed], order[n_fixed:], k)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("n_fixed", [0, 2])
def test_relaxations_are_solved(loss, n_fixed):
    """Bound and objective of the relaxation meet below the optimum, so that neither is trivial."""
    problem = hard(loss, d=12, multiplier=100.0)
    fixed, free = np.arange(n_fixed), np.arange(n_fixed, 12)
    relaxation, least = check(problem, fixed, free, 2)
    assert relaxation.objective - relaxation.bound.value <= 2e-3 * relaxation.objective
    assert 0.5 * least < relaxation.bound.value < least * (1 - 1e-4)


def test_relaxed_least_squares_against_slsqp():
    """With squared loss the value of given shares is a ridge regression, which SLSQP minimises over the shares."""
    problem = hard("squared", d=9)
    X = problem.columns.astype(float)
    y = problem.y - np.average(problem.y, weights=problem.weight)
    assert (problem.weight == 1).all()

    def value(s):
        A = np.eye(60) + problem.ridge * (X.T * np.maximum(s, 0)) @ X
        v = np.linalg.solve(A, y)
        return y @ v / 2, -problem.ridge / 2 * (X @ v) ** 2

    result = minimize(
        value,
        np.full(9, 2 / 9),
        jac=True,
        bounds=[(0, 1)] * 9,
        constraints=[{"type": "ineq", "fun": lambda s: 2 - s.sum(), "jac": lambda s: -np.ones(9)}],
        method="SLSQP",
        options={"ftol": 1e-14, "maxiter": 1000},
    )
    free, exactly = np.arange(9), replace(ROOT, share_of_target=0.0)
    relaxation = relax(problem, from_nothing(free[:0], free), free, 2, 0.1, 2 * result.fun, exactly)
    assert relaxation.bound.value <= result.fun * (1 + 1e-9)
    assert relaxation.bound.value == pytest.approx(result.fun, rel=1e-3)
    assert relaxation.objective == pytest.approx(result.fun, rel=1e-3)


def test_relaxations_are_rounded_to_the_largest_shares():
    problem, free = hard("squared"), np.arange(2, 14)
    fixed = np.array([1, 0])
    relaxation = relax(problem, from_nothing(fixed, free), free, 3, 0.1, np.inf, ROOT)
    working = relaxation.point.columns[2:]
    largest = working[np.argsort(-relaxation.shares)[:3]]
    assert relaxation.rounded(3) == tuple(sorted([0, 1, *largest.tolist()]))
    assert relaxation.rounded(len(working)) is not None
    assert relaxation.rounded(len(working) + 1) is None


@pytest.mark.parametrize("loss", LOSSES)
def test_a_target_ends_a_relaxation(loss):
    problem, free = hard(loss), np.arange(14)
    least = least_of_node(problem, free[:0], free, 3)
    whole = relax(problem, from_nothing(free[:0], free), free, 3, 0.1, least, ROOT).bound.value
    early = relax(problem, from_nothing(free[:0], free), free, 3, 0.1, 0.5 * whole, ROOT).bound.value
    assert 0.5 * whole <= early <= whole * (1 + 1e-3)


@pytest.mark.parametrize("loss", LOSSES)
def test_a_working_set_grows_to_what_is_needed(loss):
    problem, free = hard(loss, d=60, multiplier=30.0), np.arange(60)
    target = branch_and_bound(problem, 3, Limits(seconds=5)).objective
    full = relax(problem, from_nothing(free[:0], free), free, 3, 0.1, target, ROOT)
    grown = relax(problem, from_nothing(free[:0], free[:1]), free, 3, 0.1, target, ROOT)
    assert grown.bound.value == pytest.approx(full.bound.value, rel=5e-3)
