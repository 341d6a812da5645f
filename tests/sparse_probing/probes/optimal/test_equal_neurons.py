"""Supports that are not unique: the lowest of equal neurons is reported, and neurons without a part are named."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparse_probing.probes.optimal.branch_and_bound.solver import branch_and_bound
from sparse_probing.probes.optimal.equal_neurons import equal_neurons, replaceable, with_lowest_neurons
from sparse_probing.probes.optimal.problem import SparseProblem
from sparse_probing.probes.optimal.result import Limits
from sparse_probing.probes.optimal.solve import solve
from sparse_probing.probes.optimal.support_fit import FINAL_TOLERANCE, fit_support
from tests.builders.optimal.instances import LOSSES, correlated, make_problem, problem_of, problems
from tests.builders.optimal.logs import check_proof
from tests.builders.optimal.reference import brute_force, objective

LIMITS = Limits(gap=1e-5)


def with_copies(loss, order, seed=0):
    """Return a problem of eight neurons and a copy, or the opposite, of each, in some order."""
    X, score = correlated(np.random.default_rng(seed))
    return problem_of((np.hstack([X, X * np.resize([1, -1, 2, 1], 8)])[:, order], score), loss, 10.0)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("k", [1, 2, 3])
def test_the_lowest_of_equal_neurons_is_reported(loss, k):
    pytest.importorskip("gurobipy")
    for seed in range(4):
        order = np.random.default_rng(seed).permutation(16)
        problem = with_copies(loss, order)
        fits = [solve(problem, k, LIMITS, solver, seed=seed) for solver in ("branch_and_bound", "gurobi")]
        for fit in fits:
            assert with_lowest_neurons(problem, np.array(fit.support)) == fit.support
            for j in fit.support:
                partner = int(np.flatnonzero(order == (order[j] + 8) % 16)[0])
                assert j < partner or partner in fit.support
        # The copies do not change what is found: the neurons are those of the problem without copies.
        alone = branch_and_bound(problem_of(correlated(np.random.default_rng(0)), loss, 10.0), k, LIMITS)
        if len({order[j] % 8 for j in fits[0].support}) == k:
            assert {order[j] % 8 for j in fits[0].support} == set(alone.support)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("kind", ["correlated", "duplicated", "constant", "ties", "separable", "all_equal", "rare"])
def test_both_solvers_report_the_same_probe(loss, kind):
    pytest.importorskip("gurobipy")
    for multiplier in (0.3, 1.0, 100.0):
        problem = make_problem(kind, loss, multiplier)
        ours, theirs = (solve(problem, 2, LIMITS, solver) for solver in ("branch_and_bound", "gurobi"))
        if ours.support == theirs.support:
            assert (ours.intercept, ours.objective) == (theirs.intercept, theirs.objective)
            assert np.array_equal(ours.coef, theirs.coef)
            assert (ours.intercepts, ours.replaceable) == (theirs.intercepts, theirs.replaceable)
        else:
            assert theirs.objective == pytest.approx(ours.objective, rel=2 * LIMITS.gap)


@pytest.mark.parametrize("loss", LOSSES)
def test_seeds_and_starts_do_not_show_in_the_probe(loss):
    problem = make_problem("correlated", loss, 10.0)
    fits = [branch_and_bound(problem, 3, LIMITS, starts, seed) for seed, starts in enumerate([(), ((5,),), ((6, 7),)])]
    for fit in fits[1:]:
        assert (fit.support, fit.intercept, fit.objective) == (fits[0].support, fits[0].intercept, fits[0].objective)
        assert np.array_equal(fit.coef, fits[0].coef)


@pytest.mark.parametrize("loss", LOSSES)
def test_a_neuron_with_a_copy_outside_the_support_is_replaceable(loss):
    problem = make_problem("duplicated", loss, 10.0)
    one = branch_and_bound(problem, 1, LIMITS)
    assert one.replaceable == one.support
    own = make_problem("correlated", loss, 10.0)
    assert branch_and_bound(own, 1, LIMITS).replaceable == ()


@pytest.mark.parametrize("loss", LOSSES)
def test_a_neuron_with_a_coefficient_of_zero_is_replaceable(loss):
    X, score = correlated(np.random.default_rng(0))
    X[:, 2:] = 1.0
    problem = problem_of((X, score), loss, 10.0)
    fit = branch_and_bound(problem, 4, LIMITS)
    assert fit.support == (0, 1, 2, 3)  # constant neurons are equal: the lowest
    assert fit.replaceable == (2, 3)
    assert np.abs(fit.coef[2:]).max() <= 1e-9
    assert branch_and_bound(problem.restricted(np.arange(4)), 4, LIMITS).replaceable == ()  # nothing else is left


def test_equal_neurons_are_equal_or_opposite_to_the_last_digit():
    column = np.random.default_rng(0).standard_normal(20).astype(np.float32)
    near = column.copy()
    near[3] = np.nextafter(near[3], np.float32(np.inf))
    columns = np.stack(
        [near, column, -column, column[::-1], column, np.zeros(20, np.float32), np.zeros(20, np.float32)]
    )
    y = np.where(np.arange(20) < 9, 1.0, -1.0)
    problem = SparseProblem(columns, y, np.ones(20), 1.0)
    assert equal_neurons(problem, 4).tolist() == [1, 2, 4]
    assert equal_neurons(problem, 0).tolist() == [0]
    assert equal_neurons(problem, 6).tolist() == [5, 6]
    assert with_lowest_neurons(problem, np.array([3, 4, 6])) == (1, 3, 5)
    assert with_lowest_neurons(problem, np.array([0, 2, 4])) == (0, 1, 2)


@given(problems(), st.integers(1, 3))
@settings(max_examples=60)
def test_replaceable_neurons_can_be_replaced(problem, k):
    k = min(k, problem.width)
    fit = branch_and_bound(problem, k, LIMITS, proof=True)
    assert check_proof(problem, fit.proof).proved
    values = brute_force(problem, k)
    for neuron in fit.replaceable:
        others = [v for s, v in values.items() if s != fit.support and set(fit.support) - set(s) == {neuron}]
        assert min(others) <= fit.objective * (1 + 3e-7) + 1e-12


def test_a_coefficient_that_matters_is_not_zero():
    problem = make_problem("correlated", "hinge", 1.0)
    fit = fit_support(problem, np.array([0, 1, 2]), tolerance=FINAL_TOLERANCE)
    assert replaceable(problem, fit) == ()
    zero = replace(fit, coef=np.array([fit.coef[0], 0.0, fit.coef[2]]))
    zero = replace(zero, objective=objective(problem, zero.support, zero.coef, zero.intercept))
    assert replaceable(problem, zero) == (1,)
