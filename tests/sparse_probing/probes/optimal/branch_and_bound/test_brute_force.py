"""The solver against the enumeration of all supports, in both directions."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparse_probing.probes.optimal.branch_and_bound.solver import branch_and_bound
from sparse_probing.probes.optimal.result import Limits
from tests.builders.optimal.instances import (
    KINDS,
    LOSSES,
    correlated,
    hard,
    make_problem,
    problem_of,
    problems,
    without_local_search,
)
from tests.builders.optimal.reference import (
    assert_optimal,
    brute_force,
    not_ruled_out,
    optima,
)

GAP = 1e-5
LIMITS = Limits(gap=GAP)


def check_every_way(problem, k):
    """Check the solver with its local search, with only the tree, and with the tree and its enumeration."""
    values = brute_force(problem, k)
    assert_optimal(problem, branch_and_bound(problem, k, LIMITS), values, GAP)
    for enumerate_too in (False, True):
        with without_local_search(enumerate_too):
            assert_optimal(problem, branch_and_bound(problem, k, LIMITS), values, GAP)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("multiplier", "balanced", "heavy"), [(1.0, True, False), (10.0, False, False), (100.0, True, True)]
)
def test_small_problems(kind, loss, multiplier, balanced, heavy):
    problem = make_problem(kind, loss, multiplier, balanced=balanced, heavy=heavy)
    for k in (1, 2, 3):
        check_every_way(problem, k)


@given(problems(), st.integers(1, 3))
@settings(max_examples=30)
def test_drawn_problems(problem, k):
    check_every_way(problem, min(k, problem.width))


@pytest.mark.parametrize("loss", LOSSES)
def test_one_of_a_pair_of_equal_neurons(loss):
    """With a copy of every neuron, a support may hold a neuron and its copy, but no neuron twice."""
    X, score = correlated(np.random.default_rng(3), d=5)
    single, double = (problem_of((each, score), loss, 10.0) for each in (X, np.hstack([X, X])))
    fit = branch_and_bound(double, 2, LIMITS)
    assert_optimal(double, fit, brute_force(double, 2), GAP)
    assert fit.objective <= branch_and_bound(single, 2, LIMITS).objective * (1 + GAP)


@pytest.mark.parametrize("loss", LOSSES)
def test_every_k_up_to_all_neurons(loss):
    problem = make_problem("correlated", loss, 10.0, seed=1).restricted(np.arange(5))
    for k in range(1, 6):
        check_every_way(problem, k)


@pytest.mark.slow
@pytest.mark.parametrize("loss", LOSSES)
def test_fourteen_neurons(loss):
    check_every_way(hard(loss), 4)


@pytest.mark.slow
@pytest.mark.parametrize("loss", LOSSES)
def test_tens_of_thousands_of_supports(loss):
    problem = hard(loss, d=205, multiplier=100.0)
    supports = np.array(list(combinations(range(205), 2)))
    assert len(supports) > 20_000
    fits = [branch_and_bound(problem, 2, LIMITS)]
    with without_local_search():
        fits.append(branch_and_bound(problem, 2, LIMITS))
    assert fits[1].nodes > 40
    if loss == "hinge":
        supports = not_ruled_out(problem, supports, fits[0].objective * (1 + 1e-3))
    values = dict(zip(map(tuple, supports.tolist()), optima(problem, supports).tolist(), strict=True))
    for fit in fits:
        assert_optimal(problem, fit, values, GAP)
