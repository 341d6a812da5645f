import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparse_probing.probes.optimal.problem import SparseProblem
from sparse_probing.probes.optimal.support_fit import FINAL_TOLERANCE, TOLERANCE, Certificate, fit_support
from tests.sparse_probing.probes.optimal.instances import KINDS, LOSSES, correlated, made, problem_of, problems
from tests.sparse_probing.probes.optimal.reference import CERTIFIED, decisions, dual_bound, objective, optimum

HINGE_REACHES = 5e-7
"""Relative gap below which rounding need not let a hinge fit come: it cannot be smoothed as narrowly as one likes."""


def duals_of(problem: SparseProblem, certificate: Certificate) -> np.ndarray:
    """Return what a certificate stands for, from its description alone."""
    f = decisions(problem, certificate.columns, certificate.coef, certificate.intercept)
    y, w = problem.y, problem.weight
    if problem.loss == "squared":
        v = w * (y - f)
        return v - w * v.sum() / w.sum()
    share = np.clip((1 - y * f) / certificate.delta, 0, 1) if problem.loss == "hinge" else 1 / (1 + np.exp(y * f))
    v = y * w * share
    positive, negative = v[v > 0].sum(), -v[v < 0].sum()
    least = min(positive, negative)
    return np.where(v > 0, v * least / max(positive, 1e-300), v * least / max(negative, 1e-300))


def check(problem, support, tolerance):
    """Check a fit against the reference; return its own relative gap."""
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
        problem = made(kind, loss, multiplier, heavy=heavy)
        for support in [(2,), (0, 3), (0, 1, 4), (0, 1, 2, 3, 4)]:
            assert check(problem, support, tolerance) <= max(tolerance, HINGE_REACHES if loss == "hinge" else 0)


@given(problems(), st.integers(1, 6), st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=80)
def test_drawn_fits_are_optimal_to_their_tolerance(problem, k, seed):
    support = np.sort(np.random.default_rng(seed).permutation(problem.width)[:k])
    assert check(problem, tuple(support.tolist()), TOLERANCE) <= TOLERANCE


@pytest.mark.parametrize("loss", LOSSES)
def test_where_a_fit_begins_is_of_no_account(loss):
    problem, support = made("correlated", loss, 10.0), np.array([0, 1, 5])
    fits = [fit_support(problem, support, tolerance=FINAL_TOLERANCE)]
    for start in (np.array([1e3, -1e3, 0.0]), np.array([-30.0, 30.0, 30.0]), fits[0].coef):
        given_start = start.copy()
        fits.append(fit_support(problem, support, tolerance=FINAL_TOLERANCE, start=(start, -5.0)))
        assert np.array_equal(start, given_start)
    for fit in fits:
        assert fit.objective == pytest.approx(fits[0].objective, rel=2 * HINGE_REACHES)
        assert fit.coef == pytest.approx(fits[0].coef, abs=0.02)


@pytest.mark.parametrize("loss", LOSSES)
def test_a_target_ends_a_fit_by_a_bound_that_reaches_it(loss):
    problem, support = made("correlated", loss, 10.0), np.array([2, 6])
    value = optimum(problem, (2, 6))
    for share in (0.5, 0.9, 0.999):
        fit = fit_support(problem, support, target=share * value)
        assert share * value <= fit.bound <= value * (1 + CERTIFIED)


@pytest.mark.parametrize("offset", [-1e6, 1e3, 1e6])
def test_targets_far_from_zero(offset):
    """The intercept may have a long way to go."""
    X, score = correlated(np.random.default_rng(0))
    near, far = (problem_of((X, score + shift), "squared", 3.0) for shift in (0.0, offset))
    fits = [fit_support(problem, np.array([0, 1]), tolerance=FINAL_TOLERANCE) for problem in (near, far)]
    assert fits[1].objective == pytest.approx(fits[0].objective, rel=1e-6)
    assert fits[1].coef == pytest.approx(fits[0].coef, rel=1e-6)
    assert fits[1].intercept == pytest.approx(fits[0].intercept + offset)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("multiplier", [1e-6, 1e4])
def test_extreme_ridges(loss, multiplier):
    check(made("separable", loss, multiplier), (0, 1, 4), TOLERANCE)


def test_an_empty_support_is_its_intercept():
    for loss in LOSSES:
        problem = made("rare", loss, 1.0, balanced=False)
        fit = fit_support(problem, np.empty(0, np.int64))
        least = min(objective(problem, (), np.empty(0), b) for b in np.arange(-600, 601) / 100)
        assert fit.objective == pytest.approx(least, rel=1e-4)
        assert fit.objective <= least * (1 + TOLERANCE)
