"""Proofs of real searches are accepted, and the bounds that they prove are true."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparse_probing.probes.optimal.branch_and_bound.solver import branch_and_bound
from sparse_probing.probes.optimal.problem import SparseProblem
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
from tests.builders.optimal.logs import check_proof, read_log
from tests.builders.optimal.reference import brute_force


def assert_proves(problem, fit):
    verdict = check_proof(problem, fit.proof)
    assert verdict.proved, verdict.reason
    assert verdict.lower_bound >= read_log(fit.proof)["lower_bound"]


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("only_tree", [False, True])
def test_real_proofs_are_accepted(loss, kind, only_tree):
    for multiplier, k, gap in ((1.0, 1, 1e-4), (10.0, 2, 1e-5), (100.0, 3, 1e-5)):
        problem = make_problem(kind, loss, multiplier, heavy=multiplier > 1)
        if only_tree:
            with without_local_search():
                fit = branch_and_bound(problem, k, Limits(gap=gap), proof=True)
        else:
            fit = branch_and_bound(problem, k, Limits(gap=gap), proof=True)
        assert_proves(problem, fit)


@given(problems(), st.integers(1, 3), st.sampled_from([1, 3, 10**9]), st.booleans(), st.sampled_from([None, 0.1]))
@settings(max_examples=60)
def test_drawn_proofs_are_accepted_and_true(problem, k, nodes, enumerate_too, tolerance):
    k = min(k, problem.width)
    with without_local_search(enumerate_too):
        fit = branch_and_bound(problem, k, Limits(gap=1e-5, nodes=nodes), proof=True, tolerance=tolerance)
    assert_proves(problem, fit)
    best = min(brute_force(problem, k).values())
    assert check_proof(problem, fit.proof).lower_bound <= best * (1 + 1e-7) + 1e-12


def test_the_bound_is_also_that_of_supports_that_a_node_rules_out():
    """Neurons 0 and 3 differ by rounding: a search within a gap rules out the better one at the claimed bound."""
    rare = np.where(np.arange(16) == 12, 0.38729835, -0.02581989)
    second = np.array([0, 0, 0, 0, 1, 1, 0, 0, 0, 1, 0, 0, 2, 1, 0, 0])
    third = np.array([2, 3, 2, 2, 2, 3, 2, 1, 0, 2, 2, 4, 3, 4, 2, 2])
    columns = np.stack(
        [
            rare,
            np.array([0.05551361, -0.07137464, -0.32515115])[second],
            np.array([-0.13337718, -0.05129892, 0.03077935, 0.11285762, -0.21545546])[third],
            -np.roll(rare, 1),
        ]
    )
    y = np.array([1.0, -1, 1, 1, 1, 1, 1, 1, -1, -1, 1, -1, -1, -1, 1, 1])
    problem = SparseProblem(columns.astype(np.float32), y, np.ones(16), 0.075, "hinge")
    with without_local_search(False):
        fit = branch_and_bound(problem, 1, Limits(gap=1e-5, nodes=3), proof=True)
    assert_proves(problem, fit)
    assert check_proof(problem, fit.proof).lower_bound <= min(brute_force(problem, 1).values()) * (1 + 1e-9)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("nodes", [1, 2, 5, 9, 10**9])
@pytest.mark.parametrize("tolerance", [None, 0.05])
def test_proofs_of_searches_cut_short(loss, nodes, tolerance):
    problem = hard(loss, d=12, multiplier=300.0)
    with without_local_search():
        fit = branch_and_bound(problem, 4, Limits(nodes=nodes), proof=True, tolerance=tolerance)
    assert fit.status == ("proved" if nodes > 9 else "gap")
    assert_proves(problem, fit)


@pytest.mark.parametrize(
    ("kind", "multiplier", "seed", "k"),
    [("rare", 1000.0, 0, 2), ("rare", 100.0, 3, 3), ("ties", 1000.0, 6, 2), ("all_equal", 1000.0, 1, 2)],
)
def test_proofs_of_near_supports(kind, multiplier, seed, k):
    """The bound is that of the best support, whose fit is smoothed least."""
    problem = make_problem(kind, "hinge", multiplier, seed, heavy=True)
    assert_proves(problem, branch_and_bound(problem, k, Limits(), proof=True, tolerance=0.02))


@pytest.mark.parametrize("offset", [1e3, 1e6, 1e8])
@pytest.mark.parametrize("seed", [2, 5, 6])
def test_targets_far_from_zero(offset, seed):
    """The allowance covers the rounding of large terms that cancel: the bound holds for targets near zero."""
    X, score = correlated(np.random.default_rng(seed), n=40)
    far = problem_of((X, score + offset), "squared", 3.0)
    verdict = check_proof(far, branch_and_bound(far, 3, Limits(gap=1e-7), proof=True).proof)
    near = SparseProblem(far.columns, far.y - offset, far.weight, far.ridge, "squared")
    assert verdict.proved or offset > 1e6
    assert verdict.lower_bound <= min(brute_force(near, 3).values()) * (1 + 1e-11)


@pytest.mark.parametrize("loss", LOSSES)
def test_a_wide_proof(loss):
    problem = hard(loss, d=150, n=120, multiplier=30.0)
    fit = branch_and_bound(problem, 3, Limits(seconds=5, nodes=200), proof=True)
    assert fit.nodes > 1
    assert_proves(problem, fit)
