"""Branch and bound: invariances, planted supports, controls, starts, and the bounds of its tree."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probing_datasets.foundation.errors import ProbeError
from sparse_probing.probes.inference.shuffled_labels import shuffled_labels
from sparse_probing.probes.optimal.branch_and_bound import solver
from sparse_probing.probes.optimal.branch_and_bound.solver import branch_and_bound
from sparse_probing.probes.optimal.problem import SparseProblem
from sparse_probing.probes.optimal.result import Limits
from tests.builders.optimal.instances import (
    LOSSES,
    correlated,
    hard,
    make_problem,
    problem_of,
    problems,
    tree_with_root,
    without_local_search,
)
from tests.builders.optimal.reference import assert_optimal, brute_force, objective

GAP = 1e-5
LIMITS = Limits(gap=GAP)


def agree(a, b):
    """Check that two proved fits of one problem do not contradict each other."""
    for fit, other in ((a, b), (b, a)):
        assert fit.status == "proved"
        assert fit.lower_bound <= other.objective * (1 + 1e-7) + 1e-12
        assert fit.objective <= other.objective * (1 + 2 * GAP) + 1e-12


@given(problems(), st.integers(1, 3), st.integers(0, 2**32 - 1))
@settings(max_examples=30)
def test_order_and_signs_do_not_matter(problem, k, seed):
    rng, k = np.random.default_rng(seed), min(k, problem.width)
    order, signs = rng.permutation(problem.width), rng.choice([-1, 1], problem.width).astype(np.float32)
    rows = rng.permutation(problem.n_rows)
    turned = SparseProblem(
        np.ascontiguousarray((problem.columns * signs[:, None])[order][:, rows]),
        problem.y[rows],
        problem.weight[rows],
        problem.ridge,
        problem.loss,
    )
    fit, other = branch_and_bound(problem, k, LIMITS), branch_and_bound(turned, k, LIMITS)
    agree(fit, other)
    coef = np.zeros(problem.width)
    coef[order[list(other.support)]] = other.coef * signs[order[list(other.support)]]
    assert objective(problem, tuple(range(problem.width)), coef, other.intercept) == pytest.approx(
        other.objective, rel=1e-9, abs=1e-12
    )


@given(problems(losses=("hinge", "logistic")), st.integers(1, 3))
@settings(max_examples=15)
def test_swapped_labels_give_the_same_optimum(problem, k):
    k = min(k, problem.width)
    agree(branch_and_bound(problem, k, LIMITS), branch_and_bound(replace(problem, y=-problem.y), k, LIMITS))


@given(problems(), st.integers(1, 3), st.data())
@settings(max_examples=30)
def test_a_row_of_double_weight_equals_two_rows(problem, k, data):
    k = min(k, problem.width)
    times = np.array(data.draw(st.lists(st.integers(1, 3), min_size=problem.n_rows, max_size=problem.n_rows)))
    rows = np.repeat(np.arange(problem.n_rows), times)
    repeated = SparseProblem(
        np.ascontiguousarray(problem.columns[:, rows]),
        problem.y[rows],
        problem.weight[rows],
        problem.ridge,
        problem.loss,
    )
    weighted = replace(problem, weight=problem.weight * times)
    agree(branch_and_bound(repeated, k, LIMITS), branch_and_bound(weighted, k, LIMITS))


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("only_tree", [False, True])
def test_planted_supports_are_found(loss, only_tree):
    rng = np.random.default_rng(4)
    X = rng.standard_normal((400, 120))
    score = 2 * X[:, 17] - 1.5 * X[:, 60] + X[:, 119] + 0.5 * rng.standard_normal(400)
    problem = problem_of((X, score), loss, 3.0)
    if only_tree:
        with without_local_search():
            fit = branch_and_bound(problem, 3, Limits())
    else:
        fit = branch_and_bound(problem, 3, Limits())
    assert fit.status == "proved"
    assert fit.support == (17, 60, 119)
    assert (fit.coef * [1, -1, 1] > 0).all()


@pytest.mark.parametrize("loss", ["hinge", "logistic"])
def test_shuffled_labels_explain_nothing(loss):
    """Control: the bound itself shows that no support explains much."""
    X, score = correlated(np.random.default_rng(0), n=600, d=40)
    problem = problem_of((X, score), loss, 30.0)
    mixed = shuffled_labels(problem.y, np.arange(600), np.random.default_rng(1)).astype(float)
    shuffled = problem_of((X, mixed), loss, 30.0)
    fit, null_fit = (branch_and_bound(each, 3, Limits()) for each in (problem, shuffled))
    null = 600 if loss == "hinge" else 600 * np.log(2)  # objective of only an intercept, classes balanced
    assert fit.objective < 0.8 * null
    assert null_fit.lower_bound > 0.9 * null
    assert null_fit.lower_bound <= null_fit.objective <= null


@pytest.mark.parametrize("order", [slice(None), slice(None, None, -1), slice(3), slice(1, 4)])
def test_starts_are_used(order):
    """A search without time finds the best support only if a start holds it or a part of it, in any order."""
    problem, at_once = hard("hinge", d=20, multiplier=300.0), Limits(seconds=0.0)
    best = branch_and_bound(problem, 4, Limits())
    without = branch_and_bound(problem, 4, at_once)
    using = branch_and_bound(problem, 4, at_once, starts=[(19,), best.support[order]])
    assert best.status == "proved"
    assert without.objective > best.objective * 1.001
    assert using.support == best.support
    assert using.coef == pytest.approx(best.coef, rel=1e-6)


@pytest.mark.parametrize("start", [(0, 1, 2), (1, 1), (0, 99), (-1, 2)])
def test_an_invalid_start_is_refused(start):
    with pytest.raises(ProbeError, match="a support of at most 2 different neurons between 0 and 13; got"):
        branch_and_bound(hard("hinge"), 2, Limits(), starts=[start])


@pytest.mark.parametrize("k", [-1, 0, 15])
def test_k_out_of_range_is_refused(k):
    with pytest.raises(ProbeError, match=f"between 1 and the 14 neurons of the problem; got {k}"):
        branch_and_bound(hard("hinge"), k, Limits())


@pytest.mark.parametrize("loss", LOSSES)
def test_a_seed_repeats_a_search(loss):
    problem = hard(loss, d=30, multiplier=300.0)
    fits = [branch_and_bound(problem, 4, Limits(seconds=60), seed=seed) for seed in (3, 3, 4)]
    assert fits[0].nodes > 32  # there were random restarts
    for fit in fits[1:]:
        assert fit.support == fits[0].support
        assert fit.objective == pytest.approx(fits[0].objective, rel=1e-6)
    for name in ("objective", "lower_bound", "nodes", "n_kept", "root_gap", "intercept", "status"):
        assert getattr(fits[0], name) == getattr(fits[1], name)
    assert np.array_equal(fits[0].coef, fits[1].coef)


@pytest.mark.parametrize("value", [0.0, 3.0])
def test_targets_without_variance(value):
    """There is nothing to explain: the objective is zero, and so is its bound."""
    base = make_problem("correlated", "squared", 1.0)
    fit = branch_and_bound(replace(base, y=np.full(50, value)), 2, Limits())
    assert fit.objective == pytest.approx(0, abs=1e-20)
    assert fit.lower_bound <= fit.objective
    assert fit.gap == pytest.approx(0, abs=1e-4)
    assert fit.intercept == pytest.approx(value)


@pytest.mark.parametrize("offset", [1e3, 1e6])
def test_targets_far_from_zero(offset):
    X, score = correlated(np.random.default_rng(0))
    problem = problem_of((X, score + offset), "squared", 3.0)
    near = branch_and_bound(problem_of((X, score), "squared", 3.0), 3, LIMITS)
    fit = branch_and_bound(problem, 3, LIMITS)
    assert fit.support == near.support
    assert fit.objective == pytest.approx(near.objective, rel=1e-6)
    assert fit.status == "proved"


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("unit", [1e-12, 1e12])
def test_the_unit_of_the_weights_does_not_matter(loss, unit):
    """Multiplying the weights by c and dividing the ridge by c gives the same probe."""
    problem = make_problem("correlated", loss, 10.0)
    scaled = replace(problem, weight=problem.weight * unit, ridge=problem.ridge / unit)
    fit, other = (branch_and_bound(each, 3, LIMITS) for each in (problem, scaled))
    assert fit.support == other.support
    assert other.status == "proved"
    assert other.objective == pytest.approx(fit.objective * unit, rel=1e-5)
    assert other.lower_bound <= fit.objective * unit * (1 + 1e-7)


@pytest.mark.parametrize("loss", LOSSES)
def test_objectives_fall_with_k(loss):
    problem = hard(loss, d=10, multiplier=10.0)
    fits = [branch_and_bound(problem, k, LIMITS) for k in range(1, 7)]
    assert all(b.objective <= a.objective * (1 + GAP) for a, b in zip(fits, fits[1:], strict=False))
    assert_optimal(problem, fits[4], brute_force(problem, 5), GAP)


@pytest.mark.parametrize("loss", LOSSES)
def test_bounds_are_valid_after_every_node(loss, monkeypatch):
    monkeypatch.setattr(solver, "MOST_SINGLES", 0)
    monkeypatch.setattr(solver, "MOST_PAIRS", 0)
    problem = hard(loss, d=9)
    values = brute_force(problem, 3)
    optimum = min(values.values())
    tree = tree_with_root(problem, 3, max(values, key=values.__getitem__))
    bounds, is_done = [tree.lower_bound], False
    while not is_done:
        is_done = tree.grow(tree.n_nodes + 1)
        bounds.append(tree.lower_bound)
        assert tree.lower_bound <= optimum * (1 + 1e-7)
    assert tree.incumbent.fit.objective == pytest.approx(optimum, rel=2e-5)
    assert bounds[-1] >= optimum * (1 - 2e-5)
    assert bounds[0] < bounds[-1]
    assert len(bounds) > 4


def test_the_bound_of_a_tree_never_decreases():
    tree = tree_with_root(hard("squared"), 4, (10, 11, 12, 13))
    for _ in range(10):
        before = tree.lower_bound
        tree.grow(tree.n_nodes + 1)
        assert tree.lower_bound >= before - 1e-12


def test_a_tree_without_time_keeps_its_root_open():
    tree = tree_with_root(hard("squared"), 3, (11, 12, 13), seconds=0.0)
    assert not tree.grow(10**9)
    assert tree.n_nodes == 1
    assert tree.lower_bound <= min(brute_force(hard("squared"), 3).values())
