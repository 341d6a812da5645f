"""Scaled neurons, class weights, ridge and supports of the optimisation problem."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from probing_datasets.foundation.errors import ProbeError
from sparse_probing.probes.optimal.branch_and_bound.solver import branch_and_bound
from sparse_probing.probes.optimal.problem import SparseProblem, as_support, class_weights, ridge_of, scaled_columns
from sparse_probing.probes.optimal.result import Limits
from tests.builders.optimal.instances import LOSSES, correlated, make_problem, stored_activations


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_columns_have_mean_zero_and_a_tenth_as_deviation(dtype):
    X = stored_activations(dtype)
    columns, scaling = scaled_columns(X)
    assert columns.dtype == np.float32
    assert columns.shape == (100, 80)
    assert columns.mean(axis=1, dtype=np.float64) == pytest.approx(0, abs=1e-8)
    assert columns.std(axis=1, dtype=np.float64) == pytest.approx(0.1, rel=1e-6)
    assert scaling.mean == pytest.approx(X.astype(np.float64).mean(axis=0))
    assert scaling.scale == pytest.approx(10 * X.astype(np.float64).std(axis=0))


def test_order_in_memory_does_not_matter():
    X = stored_activations(np.float16)
    for other in (np.asfortranarray(X), X[:, ::-1][:, ::-1]):
        assert np.array_equal(scaled_columns(X)[0], scaled_columns(other)[0])


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_unscaled_coefficients_give_the_same_decision_values(loss, dtype):
    X = stored_activations(dtype)
    columns, scaling = scaled_columns(X)
    y = np.where(X[:, 3] > X[:, 3].mean(), 1.0, -1.0)
    fit = branch_and_bound(SparseProblem(columns, y, np.ones(80), 0.5, loss), 3, Limits(seconds=5))
    coef, intercept = scaling.undo(np.array(fit.support), fit.coef, fit.intercept)
    f = X[:, fit.support].astype(np.float64) @ coef + intercept
    assert f == pytest.approx(fit.coef @ columns[list(fit.support)] + fit.intercept, abs=1e-5)
    assert np.ptp(f) > 0.1


@given(arrays(np.float32, (7, 3), elements=st.floats(-1e3, 1e3, width=32)))
def test_undoing_is_exact_to_rounding(X):
    columns, scaling = scaled_columns(X)
    coef = np.array([1.0, -2.0, 0.5])
    plain, intercept = scaling.undo(np.arange(3), coef, 0.25)
    reach = np.abs(X.astype(np.float64) - scaling.mean) @ np.abs(plain)
    difference = X.astype(np.float64) @ plain + intercept - (coef @ columns.astype(np.float64) + 0.25)
    assert (np.abs(difference) <= 1e-6 * (reach + 1) + 1e-12 * np.abs(scaling.mean * plain).sum()).all()


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("value", [3.0, 0.0, 1e4, -0.1])
def test_a_constant_neuron_is_zero(dtype, value):
    X = stored_activations(dtype)
    X[:, 7] = value
    columns, scaling = scaled_columns(X)
    assert (columns[7] == 0).all()
    assert scaling.scale[7] == 1


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_activations_that_are_not_finite_are_refused(value):
    X = stored_activations(np.float16)
    X[5, 70] = value
    with pytest.raises(ProbeError, match="Row 5, column 70"):
        scaled_columns(X)


def test_class_weights():
    y = np.array([1.0, -1, -1, -1])
    assert class_weights(y).tolist() == [2, 2 / 3, 2 / 3, 2 / 3]
    assert class_weights(y, balanced=False).tolist() == [1, 1, 1, 1]
    for one in (1.0, -1.0):
        with pytest.raises(ProbeError, match="one class"):
            class_weights(np.full(3, one))


def test_ridge():
    assert ridge_of(100, 1.0) == pytest.approx(0.1)
    assert ridge_of(100, 3.0) == pytest.approx(0.3)


def test_parts_of_a_problem():
    problem = make_problem("correlated", "hinge", 1.0)
    part = problem.restricted(np.array([4, 2]))
    assert part.width == 2
    assert part.n_rows == problem.n_rows == 50
    assert np.array_equal(part.columns, problem.columns[[4, 2]])
    assert (problem.norms >= np.linalg.norm(problem.columns.astype(np.longdouble), axis=1)).all()
    assert problem.norms == pytest.approx(np.linalg.norm(problem.columns.astype(float), axis=1), rel=1e-8)


def test_scaled_neurons_do_not_depend_on_units():
    X, _ = correlated(np.random.default_rng(0))
    assert scaled_columns(X * 1000 + 5)[0] == pytest.approx(scaled_columns(X)[0], abs=1e-6)


def test_supports_are_increasing():
    assert as_support(np.array([5, 2, 9])) == (2, 5, 9)
    assert all(type(j) is int for j in as_support(np.array([5, 2])))
