"""Greedy growth, exchanges and random restarts, and the cache of fits that they share."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparse_probing.probes.optimal.branch_and_bound import local_search
from sparse_probing.probes.optimal.branch_and_bound.local_search import (
    SupportFits,
    exchange,
    greedy,
    restarts,
)
from tests.builders.optimal.instances import LOSSES, hard, problem_of, problems
from tests.builders.optimal.reference import brute_force, optimum


def never():
    return False


def is_support(support, k, d):
    return len(support) == k and list(support) == sorted(set(support)) and all(0 <= j < d for j in support)


@given(problems(), st.integers(1, 4), st.integers(0, 2**32 - 1))
@settings(max_examples=40)
def test_every_search_gives_supports(problem, k, seed):
    """Also with fewer neurons than candidates: no support holds a neuron twice."""
    k, d, fits, rng = min(k, problem.width), problem.width, SupportFits(problem), np.random.default_rng(seed)
    grown = greedy(fits, k)
    better = exchange(fits, grown, never)
    best = restarts(fits, better, 3, never, rng)
    assert all(is_support(support, k, d) for support in (grown, better, best))
    values = [fits.fit(support).objective for support in (grown, better, best)]
    assert values == sorted(values, reverse=True)
    assert values[2] == pytest.approx(optimum(problem, best), rel=2e-6, abs=1e-9)


@pytest.mark.parametrize("loss", LOSSES)
def test_no_single_exchange_is_better_afterwards(loss, monkeypatch):
    problem = hard(loss, d=9, multiplier=10.0)
    fits = SupportFits(problem)
    support = exchange(fits, (6, 7, 8), never)
    values = brute_force(problem, 3)
    neighbours = [value for other, value in values.items() if len({*other, *support}) == 4]
    assert len(neighbours) == 18
    assert values[support] <= min(neighbours) * (1 + 1e-5)


def test_candidates_are_the_best_correlated_outside():
    problem = hard("squared", d=30)
    fits = SupportFits(problem)
    correlations = np.abs(problem.columns.astype(float) @ fits.fit((3, 4)).certificate.duals(problem))
    expected = [j for j in np.argsort(-correlations).tolist() if j not in (3, 4)]
    assert fits.candidates((3, 4), 5) == expected[:5]
    assert sorted(fits.candidates((3, 4), 99)) == [j for j in range(30) if j not in (3, 4)]
    assert fits.candidates(tuple(range(30)), 4) == []


def test_only_complete_fits_are_cached():
    problem = hard("hinge", d=6)
    fits, value = SupportFits(problem), optimum(problem, (1, 2))
    assert fits.fit((1, 2), 0.9 * value).bound >= 0.9 * value
    fit = fits.fit((1, 2), 1.1 * value, near=(1, 3))
    assert fit.bound < 1.1 * value
    assert fit.objective == pytest.approx(value, rel=2e-6)
    assert fits.fit((1, 2)) is fit
    assert fits.fit((1, 2), 0.9 * value) is fit


def test_a_full_cache_is_emptied(monkeypatch):
    monkeypatch.setattr(local_search, "LARGEST_CACHE", 3)
    problem = hard("squared", d=8)
    fits = SupportFits(problem)
    for j in range(8):
        assert fits.fit((j,)).objective == pytest.approx(optimum(problem, (j,)))
    assert exchange(fits, greedy(fits, 2), never)


def test_greedy_keeps_its_start():
    fits = SupportFits(hard("squared", d=8))
    assert set(greedy(fits, 4, (1, 6))) >= {1, 6}
    assert greedy(fits, 2, (1, 6)) == (1, 6)


def test_searches_stop_when_requested():
    fits = SupportFits(hard("squared"))
    assert exchange(fits, (11, 12, 13), lambda: True) == (11, 12, 13)
    assert restarts(fits, (11, 12, 13), 50, lambda: True, np.random.default_rng(0)) == (11, 12, 13)


def test_restarts_leave_a_local_optimum():
    """Two neurons are useful only together; exchanges of single neurons do not find them."""
    rng = np.random.default_rng(0)
    hidden, y = 10 * rng.standard_normal(300), rng.standard_normal(300)
    X = rng.standard_normal((300, 10))
    X[:, 0], X[:, 1] = y + hidden, hidden
    X[:, 2] += 0.5 * y
    X[:, 3] += 0.5 * y
    problem = problem_of((X, y), "squared", 1e6)
    fits = SupportFits(problem)
    stuck = exchange(fits, (2, 3), never)
    assert stuck == (2, 3)
    assert restarts(fits, stuck, 200, never, np.random.default_rng(0)) == (0, 1)
