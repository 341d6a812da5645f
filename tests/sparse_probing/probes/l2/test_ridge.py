"""Ridge probes over alphas and nested supports, and forward selection of neurons."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import Ridge

from probing_datasets.foundation.errors import ProbeError
from sparse_probing.probes.l2.ridge import fit_nested_top_k_regression, fit_ridge_path, forward_selection
from sparse_probing.probes.rankings.regression_and_multiclass import absolute_correlation
from sparse_probing.probes.rankings.top_neurons import top_neurons
from tests.builders.layers import correlated_targets
from tests.builders.references import squared_error


def assert_matches_scikit_learn(fit, X, y, alpha):
    model = Ridge(alpha=alpha, solver="svd").fit(X, y)
    assert fit.coef == pytest.approx(model.coef_, abs=1e-8 * np.abs(model.coef_).max())
    assert fit.intercept == pytest.approx(model.intercept_, rel=1e-8)
    objective = np.sum((y - model.predict(X)) ** 2) + alpha * model.coef_ @ model.coef_
    assert fit.objective == pytest.approx(objective, rel=1e-10)
    assert fit.gap < 1e-12
    assert fit.status == "Converged."


@pytest.mark.parametrize("shape", [(200, 12), (30, 30), (25, 80)])
def test_ridge_path_equals_scikit_learn(shape):
    X, y = correlated_targets(*shape)
    fits = fit_ridge_path(X, y, [1e3, 0.1, 1.0])
    assert list(fits) == [0.1, 1.0, 1e3]
    for alpha, fit in fits.items():
        assert_matches_scikit_learn(fit, X, y, alpha)


@pytest.mark.parametrize("shape", [(200, 12), (8, 12)])
@pytest.mark.parametrize("alpha", [0.01, 1.0, 100.0])
def test_nested_equals_scikit_learn(shape, alpha):
    X, y = correlated_targets(*shape)
    fits = fit_nested_top_k_regression(X, y, [12, 1, 5], alpha)
    assert list(fits) == [1, 5, 12]
    for k, fit in fits.items():
        assert_matches_scikit_learn(fit, X[:, :k], y, alpha)


def test_gap_bounds_the_distance_to_the_minimum_and_tells_rounding():
    X, y = correlated_targets()
    X[:, 3] = X[:, 2] + 1e-9 * X[:, 4]
    with pytest.raises(ProbeError, match="below the rounding"):
        fit_nested_top_k_regression(1e8 * X, y, [12], 1e-300)
    (fit,) = fit_ridge_path(1e8 * X, y, [1e-6]).values()
    assert not fit.converged
    assert "ill-conditioned" in fit.status


@settings(max_examples=25)
@given(st.integers(0, 1000), st.sampled_from([(60, 9), (9, 20)]))
def test_laws(seed, shape):
    rng = np.random.default_rng(seed)
    X, y = correlated_targets(*shape, seed)
    order = rng.permutation(shape[1])
    fit = fit_ridge_path(X, y, [2.0])[2.0]
    moved = fit_ridge_path(X[:, order], y, [2.0])[2.0]
    twice = fit_ridge_path(np.vstack([X, X]), np.append(y, y), [4.0])[4.0]
    scaled = fit_ridge_path(X, 10 * y - 3, [2.0])[2.0]
    nested = fit_nested_top_k_regression(X, y, [shape[1]], 2.0)[shape[1]]
    assert moved.coef == pytest.approx(fit.coef[order])
    assert twice.coef == pytest.approx(fit.coef)
    assert scaled.coef == pytest.approx(10 * fit.coef)
    assert scaled.intercept == pytest.approx(10 * fit.intercept - 3)
    assert nested.coef == pytest.approx(fit.coef)


@given(st.integers(0, 100))
@settings(max_examples=10)
def test_forward_selection_is_greedy(seed):
    X, y = correlated_targets(80, 9, seed)
    selected = forward_selection(X.astype(np.float32), y, 6).tolist()
    X = X.astype(np.float32).astype(np.float64)
    for step in range(6):
        errors = [squared_error(X, y, [*selected[:step], j]) for j in range(9) if j not in selected[:step]]
        assert squared_error(X, y, selected[: step + 1]) == pytest.approx(min(errors))


def test_forward_selection_passes_over_copies_that_a_ranking_takes():
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, 500))
    X = rng.standard_normal((500, 30))
    X[:, 3], X[:, 8], X[:, 9] = a, a + 0.01 * rng.standard_normal(500), b + rng.standard_normal(500)
    selected = forward_selection(X, 2 * a + b, 2).tolist()
    best = min(combinations(range(30), 2), key=lambda pair: squared_error(X, 2 * a + b, list(pair)))
    assert sorted(selected) == list(best)
    assert 9 in selected
    assert top_neurons(absolute_correlation(X, 2 * a + b), 2).tolist() == [3, 8]


def test_forward_selection_skips_constant_and_duplicated_columns():
    X, y = correlated_targets(50, 6)
    X[:, 2], X[:, 3] = 0.1, X[:, 0]
    selected = forward_selection(X, y, 6)
    assert len(selected) == 4
    assert 2 not in selected
    assert not {0, 3} <= set(selected.tolist())


def test_bad_input():
    X, y = correlated_targets()
    with pytest.raises(ProbeError, match=r"Choose every k between 1 and 12"):
        fit_nested_top_k_regression(X, y, [3, 13])
    with pytest.raises(ProbeError, match="Choose k between 1 and 12"):
        forward_selection(X, y, 0)
    with pytest.raises(ProbeError, match="alpha is 0"):
        fit_ridge_path(X, y, [0])
    with pytest.raises(ProbeError, match="All 200 targets are 1.0"):
        fit_ridge_path(X, np.ones(200), [1.0])
    X[3, 1] = np.inf
    with pytest.raises(ProbeError, match="Row 3, column 1 is inf"):
        fit_nested_top_k_regression(X, y, [1])
