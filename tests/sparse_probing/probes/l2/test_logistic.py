"""Logistic probes of nested supports and of all neurons: minima, scores, reported decrements, errors."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from probing_datasets.foundation.errors import ProbeError
from sparse_probing.probes.inference.shuffled_labels import shuffled_labels
from sparse_probing.probes.l2.logistic import fit_dense, fit_nested_top_k, nested_scores
from sparse_probing.probes.metrics.classification import classification_metrics
from tests.builders.layers import correlated, hard_columns
from tests.builders.references import logistic_decrement, logistic_objective, scikit_learn_logistic


def assert_matches_reference(fit, X, y, C=1.0, balanced=True):
    model = scikit_learn_logistic(X, y, C, balanced)
    coef, intercept = model.coef_[0], model.intercept_[0]
    best = logistic_objective(X, y, coef, intercept, C, balanced)
    assert fit.objective == pytest.approx(logistic_objective(X, y, fit.coef, fit.intercept, C, balanced), rel=1e-11)
    assert fit.objective <= best * (1 + 1e-9)
    assert fit.objective == pytest.approx(best, rel=1e-6)
    assert fit.coef == pytest.approx(coef, abs=1e-3 * np.abs(coef).max())
    assert fit.intercept == pytest.approx(intercept, abs=1e-3 * (1 + np.abs(coef).max()))
    assert fit.status == "Converged."
    assert fit.decrement < 1e-8


@pytest.mark.parametrize("C", [1e-3, 1.0, 100.0])
@pytest.mark.parametrize("class_weight", ["balanced", "none"])
def test_nested_equals_scikit_learn(C, class_weight):
    X, y = correlated()
    fits = fit_nested_top_k(X, y, [12, 1, 3, 7], C=C, class_weight=class_weight)
    assert list(fits) == [1, 3, 7, 12]
    for k, fit in fits.items():
        assert fit.coef.shape == (k,)
        assert_matches_reference(fit, X[:, :k], y, C, class_weight == "balanced")


@pytest.mark.parametrize(("n", "d"), [(400, 12), (40, 12), (30, 30), (25, 80)])
@pytest.mark.parametrize("C", [0.1, 1.0, 1000.0])
def test_dense_equals_scikit_learn(n, d, C):
    X, y = correlated(n, d)
    assert_matches_reference(fit_dense(X, y, C=C), X, y, C)


@settings(max_examples=40)
@given(
    st.integers(0, 1000),
    st.sampled_from([1e-3, 1.0, 1e3, 1e6]),
    st.sampled_from([(150, 10), (40, 30), (20, 60)]),
)
def test_hard_problems_converge(seed, C, shape):
    n, d = shape
    X, y = hard_columns(n, d, seed)
    assume(len(set(y)) == 2)
    fits = [*fit_nested_top_k(X, y, range(1, d + 1, 3), C=C).values(), fit_dense(X, y, C=C)]
    for fit in fits:
        means = X[:, : len(fit.coef)].mean(axis=0)
        intercept = fit.intercept + fit.coef @ means
        assert fit.decrement < 1e-8
        assert logistic_decrement(X[:, : len(fit.coef)] - means, y, fit.coef, intercept, C) < 1e-7


def test_never_above_scikit_learn_on_separable_data():
    X, y = correlated(100, 8, noise=0.0)
    for C in (1.0, 1e4):
        for k, fit in fit_nested_top_k(X, y, [2, 4, 8], C=C).items():
            model = scikit_learn_logistic(X[:, :k], y, C)
            assert fit.objective <= logistic_objective(X[:, :k], y, model.coef_[0], model.intercept_[0], C) * (1 + 1e-9)
            assert np.isfinite(fit.coef).all()


def test_minimum_is_symmetric_in_duplicated_and_zero_on_constant_columns():
    X, y = hard_columns(200, 10, 0)
    fit = fit_dense(X, y)
    assert fit.coef[2] == pytest.approx(fit.coef[3], abs=1e-4)
    assert fit.coef[4] == pytest.approx(0, abs=1e-10)


def test_margins_beyond_the_largest_exponent():
    X, y = np.r_[np.linspace(-1, 1, 50), 1e4][:, None], np.r_[np.repeat([-1, 1], 25), -1]
    fit = fit_nested_top_k(X, y, [1], C=1e-3)[1]
    assert fit.objective == pytest.approx(logistic_objective(X, y, fit.coef, fit.intercept, C=1e-3), rel=1e-11)


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_narrow_input_is_fitted_in_float64(dtype):
    X, y = correlated()
    X = X.astype(dtype)
    assert fit_dense(X, y).coef == pytest.approx(fit_dense(X.astype(np.float64), y).coef, rel=1e-12)


def test_fits_do_not_change_their_input():
    X, y = correlated(20, 30)
    before = X.copy()
    fit_dense(X, y)
    fit_nested_top_k(X, y, [5])
    assert np.array_equal(X, before)


def test_permuting_columns_permutes_coefficients():
    X, y = correlated()
    order = np.random.default_rng(1).permutation(X.shape[1])
    assert fit_dense(X[:, order], y).coef == pytest.approx(fit_dense(X, y).coef[order], abs=1e-4)


def test_swapping_the_classes_changes_signs():
    X, y = correlated()
    assert fit_dense(X, -y).coef == pytest.approx(-fit_dense(X, y).coef, abs=1e-6)


def test_reported_decrement_estimates_the_exact_one():
    X, y = correlated(2000, 30)
    for steps in (1, 2, 3, 5):
        for k, fit in fit_nested_top_k(X, y, [3, 10, 30], C=10, max_iter=steps).items():
            exact = logistic_decrement(X[:, :k], y, fit.coef, fit.intercept, C=10)
            if exact > 1e-12:
                assert exact / 5 < fit.decrement < exact * 5


def test_too_few_steps_are_reported():
    X, y = correlated(noise=0.0)
    fit = fit_dense(X, y, C=1e4, max_iter=1)
    assert not fit.converged
    assert fit.iterations == 1
    assert "raise max_iter" in fit.status


def test_nested_scores_are_those_of_each_fit():
    X, y = correlated()
    fits = fit_nested_top_k(X, y, [2, 5])
    scores = nested_scores(fits, X[:50])
    for column, (k, fit) in enumerate(fits.items()):
        assert scores[:, column] == pytest.approx(X[:50, :k] @ fit.coef + fit.intercept)


def test_planted_neuron_is_found_and_shuffled_labels_are_at_chance():
    rng = np.random.default_rng(0)
    y = np.where(rng.random(1000) < 0.3, 1, -1)
    X = rng.standard_normal((1000, 20))
    X[:, 0] += 2 * (y > 0)
    train, test = slice(0, 600), slice(600, None)

    def area(labels):
        fits = fit_nested_top_k(X[train], labels[train], [1, 20])
        return classification_metrics(labels[test], nested_scores(fits, X[test]))["roc_auc"]

    assert area(y).min() > 0.85
    controls = [area(shuffled_labels(y, np.arange(1000), rng)) for _ in range(20)]
    assert abs(np.mean(controls, axis=0) - 0.5).max() < 0.05


def fit_top_1(X, y, C):
    return fit_nested_top_k(X, y, [1], C)


@pytest.mark.parametrize("fit", [fit_dense, fit_top_1])
@pytest.mark.parametrize(
    ("X", "y", "C", "message"),
    [
        ([[1.0], [np.nan]], [1, -1], 1.0, "Row 1, column 0 is nan"),
        ([[1.0], [-np.inf]], [1, -1], 1.0, "Row 1, column 0 is -inf"),
        ([[1.0], [2.0]], [1, 1], 1.0, "both classes"),
        ([[1.0], [2.0]], [1, 0], 1.0, "must be -1 or \\+1"),
        (np.empty((0, 3)), [], 1.0, "non-empty"),
        (np.empty((2, 0)), [1, -1], 1.0, "non-empty"),
        ([[1.0], [2.0]], [1, -1, 1], 1.0, "2 rows but 3 labels"),
        ([[1.0], [2.0]], [1, -1], 0.0, "must be positive"),
    ],
)
def test_errors(fit, X, y, C, message):
    with pytest.raises(ProbeError, match=message):
        fit(X, y, C=C)


@pytest.mark.parametrize("ks", [[], [0, 1], [3]])
def test_impossible_ks(ks):
    with pytest.raises(ProbeError, match="Choose every k between 1 and 2"):
        fit_nested_top_k([[1.0, 0.0], [2.0, 1.0]], [1, -1], ks)
