"""Losses against their definition: values, duals, curvatures, conjugates and balanced duals."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import approx_fprime

from sparse_probing.probes.optimal.losses import (
    CODES,
    all_points,
    balance,
    balanced,
    dual_point,
    dual_value,
    point,
)
from tests.builders.optimal.instances import LOSSES, make_problem
from tests.builders.optimal.reference import dual_bound, objective

decisions = st.floats(-30, 30)
signs = st.sampled_from([-1.0, 1.0])
row_weights = st.sampled_from([0.1, 1.0, 7.0, 1000.0])


@pytest.mark.parametrize("loss", LOSSES)
def test_values_are_those_of_the_definition(loss):
    problem = make_problem("correlated", loss, 1.0, heavy=True)
    coef = np.array([1.5, -3.0])
    f = coef @ problem.columns[[0, 4]].astype(float) + 0.3
    expected = objective(problem, (0, 4), coef, 0.3) - coef @ coef / (2 * problem.ridge)
    v, h = np.empty(50), np.empty(50)
    assert all_points(problem.code, f, problem.y, problem.weight, 0.0, v, h) == pytest.approx(expected)


@given(st.sampled_from(LOSSES), decisions, signs, row_weights, st.sampled_from([0.3, 0.01]))
def test_duals_and_curvatures_are_derivatives(loss, f, y, w, delta):
    code = CODES[loss]
    kinks = [y, y * (1 - delta)]
    if loss == "hinge" and min(abs(f - kink) for kink in kinks) < 1e-4:
        return
    _, v, h = point(code, f, y, w, delta)
    slope = approx_fprime(np.array([f]), lambda x: point(code, x[0], y, w, delta)[0], 1e-6)[0]
    bend = approx_fprime(np.array([f]), lambda x: -point(code, x[0], y, w, delta)[1], 1e-6)[0]
    assert v == pytest.approx(-slope, rel=1e-4, abs=1e-3 * w)
    assert h == pytest.approx(bend, rel=1e-3, abs=1e-3 * w)


@given(decisions, signs, row_weights, st.sampled_from([0.3, 0.01, 1e-6]))
def test_a_smoothed_hinge_lies_just_below_the_hinge(f, y, w, delta):
    smooth, exact = point(0, f, y, w, delta)[0], point(0, f, y, w, 0.0)[0]
    assert exact == pytest.approx(w * max(0.0, 1 - y * f))
    assert -1e-12 * w <= exact - smooth <= 0.5 * w * delta + 1e-12 * w


@given(st.sampled_from(LOSSES), decisions, decisions, signs, row_weights)
@settings(max_examples=300)
def test_fenchel_young(loss, f, other, y, w):
    """Every dual gives a line below the loss; the dual at a decision value gives the tangent."""
    code = CODES[loss]
    v = point(code, f, y, w, 0.3 if loss == "hinge" else 0.0)[1]
    allowance = 1e-9 * w * (1 + other**2 + f**2)
    assert dual_point(code, v, y, w) - v * other <= point(code, other, y, w, 0.0)[0] + allowance
    if loss != "hinge":
        assert dual_point(code, v, y, w) - v * f == pytest.approx(point(code, f, y, w, 0.0)[0], abs=allowance)


@given(st.sampled_from(LOSSES), st.integers(0, 2**32 - 1))
def test_balanced_duals_sum_to_zero_within_their_domain(loss, seed):
    rng = np.random.default_rng(seed)
    problem = make_problem("rare", loss, 1.0, heavy=True)
    v, h = np.empty(50), np.empty(50)
    f = rng.standard_normal(50) * 10 ** rng.uniform(-3, 1) + rng.standard_normal()
    all_points(problem.code, f, problem.y, problem.weight, 0.1, v, h)
    even = balanced(problem.code, v, problem.weight)
    assert abs(even.sum()) <= 1e-12 * np.abs(v).sum()
    if loss != "squared":
        assert (even * problem.y >= 0).all()
        assert (np.abs(even) <= np.abs(v)).all()
    value = dual_value(problem.code, even, problem.y, problem.weight)
    assert value == pytest.approx(dual_bound(problem, even, ()), rel=1e-12, abs=1e-9)


@pytest.mark.parametrize("loss", LOSSES)
def test_zero_duals_are_balanced(loss):
    assert balance(CODES[loss], np.zeros(3), np.ones(3))[2] == 0
    assert balanced(CODES[loss], np.zeros(3), np.ones(3)).tolist() == [0, 0, 0]


def test_logistic_loss_of_large_decision_values():
    """There is no overflow, and small duals are accurate."""
    for f in (800.0, -800.0):
        value, v, h = point(CODES["logistic"], f, 1.0, 2.0, 0.0)
        assert value == pytest.approx(2 * np.logaddexp(0, -f))
        assert 0 <= v <= 2
        assert h >= 0
    assert point(CODES["logistic"], 40.0, 1.0, 1.0, 0.0)[1] == pytest.approx(np.exp(-40.0))
