"""Fits of one support: optimal to their tolerance, with a bound that belongs to its certificate."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparse_probing.probes.optimal.support_fit import FINAL_TOLERANCE, TOLERANCE, fit_support
from tests.builders.optimal.instances import KINDS, LOSSES, correlated, make_problem, problem_of, problems
from tests.builders.optimal.reference import CERTIFIED, dual_bound, duals_of, objective, optimum

HINGE_REACHES = 5e-7
"""Relative gap that a hinge fit reaches: rounding limits how little it can be smoothed."""


def check(problem, support, tolerance):
    """Check a fit against the reference; return its relative gap."""
    fit = fit_support(problem, np.array(support), tolerance=tolerance)
    value = optimum(problem, support)
    assert fit.objective == pytest.approx(objective(problem, support, fit.coef, fit.intercept), rel=1e-11)
    assert fit.objective >= value * (1 - CERTIFIED)
    assert fit.objective <= value * (1 + tolerance + CERTIFIED)
    assert fit.bound <= value * (1 + CERTIFIED)
    assert fit.bound == pytest.approx(dual_bound(problem, duals_of(problem, fit.certificate), support), rel=1e-7)
    return (fit.objective - fit.bound) / fit.objective


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("tolerance", [TOLERANCE, FINAL_TOLERANCE])
def test_fits_are_optimal_to_their_tolerance(kind, loss, tolerance):
    for multiplier, heavy in ((0.1, False), (1.0, True), (100.0, False)):
        problem = make_problem(kind, loss, multiplier, heavy=heavy)
        for support in [(2,), (0, 3), (0, 1, 4), (0, 1, 2, 3, 4)]:
            assert check(problem, support, tolerance) <= max(tolerance, HINGE_REACHES if loss == "hinge" else 1e-10)


@given(problems(), st.integers(1, 6), st.integers(0, 2**32 - 1))
@settings(max_examples=80)
def test_drawn_fits_are_optimal_to_their_tolerance(problem, k, seed):
    support = np.sort(np.random.default_rng(seed).permutation(problem.width)[:k])
    assert check(problem, tuple(support.tolist()), TOLERANCE) <= TOLERANCE


@pytest.mark.parametrize("loss", LOSSES)
def test_the_starting_point_does_not_matter(loss):
    problem, support = make_problem("correlated", loss, 10.0), np.array([0, 1, 5])
    fits = [fit_support(problem, support, tolerance=FINAL_TOLERANCE)]
    for start in (np.array([1e3, -1e3, 0.0]), np.array([-30.0, 30.0, 30.0]), fits[0].coef):
        given_start = start.copy()
        fits.append(fit_support(problem, support, tolerance=FINAL_TOLERANCE, start=(start, -5.0)))
        assert np.array_equal(start, given_start)
    for fit in fits:
        assert fit.objective == pytest.approx(fits[0].objective, rel=2 * HINGE_REACHES)
        assert fit.coef == pytest.approx(fits[0].coef, abs=0.02)


@pytest.mark.parametrize("loss", LOSSES)
def test_a_fit_ends_when_its_bound_reaches_the_target(loss):
    problem, support = make_problem("correlated", loss, 10.0), np.array([2, 6])
    value = optimum(problem, (2, 6))
    for share in (0.5, 0.9, 0.999):
        fit = fit_support(problem, support, target=share * value)
        assert share * value <= fit.bound <= value * (1 + CERTIFIED)


@pytest.mark.parametrize("offset", [-1e6, 1e3, 1e6])
def test_targets_far_from_zero(offset):
    """The intercept may be far from its starting point."""
    X, score = correlated(np.random.default_rng(0))
    near, far = (problem_of((X, score + shift), "squared", 3.0) for shift in (0.0, offset))
    fits = [fit_support(problem, np.array([0, 1]), tolerance=FINAL_TOLERANCE) for problem in (near, far)]
    assert fits[1].objective == pytest.approx(fits[0].objective, rel=1e-6)
    assert fits[1].coef == pytest.approx(fits[0].coef, rel=1e-6)
    assert fits[1].intercept == pytest.approx(fits[0].intercept + offset)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("multiplier", [1e-6, 1e4])
def test_extreme_ridges(loss, multiplier):
    check(make_problem("separable", loss, multiplier), (0, 1, 4), TOLERANCE)


def test_an_empty_support_has_only_an_intercept():
    for loss in LOSSES:
        problem = make_problem("rare", loss, 1.0, balanced=False)
        fit = fit_support(problem, np.empty(0, np.int64))
        least = min(objective(problem, (), np.empty(0), b) for b in np.arange(-600, 601) / 100)
        assert fit.objective == pytest.approx(least, rel=1e-4)
        assert fit.objective <= least * (1 + TOLERANCE)
