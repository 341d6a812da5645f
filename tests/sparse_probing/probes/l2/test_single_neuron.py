"""Logistic probes of every single neuron: minima, constant and separating neurons, weights, rows, errors."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probing_datasets.foundation.errors import ProbeError
from sparse_probing.probes.l2 import single_neuron
from sparse_probing.probes.l2.logistic import fit_nested_top_k
from sparse_probing.probes.l2.single_neuron import fit_single_neurons
from tests.builders.layers import correlated
from tests.builders.references import logistic_objective, scikit_learn_logistic


def objective(column, y, coef, intercept, C=1.0, balanced=True):
    return logistic_objective(column[:, None], y, np.array([coef]), intercept, C, balanced)


def reference(column, y, C=1.0, balanced=True):
    """Fitted to a centred column, on which scikit-learn converges more easily."""
    model = scikit_learn_logistic(column[:, None] - column.mean(), y, C, balanced)
    return model.coef_[0, 0], model.intercept_[0] - model.coef_[0, 0] * column.mean()


@pytest.mark.parametrize("C", [1e-3, 1.0, 1000.0])
@pytest.mark.parametrize("class_weight", ["balanced", "none"])
def test_equal_to_scikit_learn(C, class_weight):
    X, y = correlated()
    balanced = class_weight == "balanced"
    X[:, 4], X[:, 5] = (X[:, 4] - 2) * 1e-4, X[:, 5] + 1000
    fit = fit_single_neurons(X, y, C=C, class_weight=class_weight)
    for j, column in enumerate(X.T):
        coef, intercept = reference(column, y, C, balanced)
        best = objective(column, y, coef, intercept, C, balanced)
        assert fit.objective[j] == pytest.approx(
            objective(column, y, fit.coef[j], fit.intercept[j], C, balanced), rel=1e-9
        )
        assert fit.objective[j] <= best * (1 + 1e-9)
        assert fit.objective[j] == pytest.approx(best, rel=1e-6)
        assert fit.coef[j] == pytest.approx(coef, rel=1e-3, abs=1e-8)
    assert set(fit.status) == {"Converged."}
    assert (fit.decrement < 1e-8).all()


def test_equal_to_nested_fits_of_one():
    X, y = correlated(3000, 40)
    fit = fit_single_neurons(X, y)
    for j in (0, 13, 39):
        single = fit_nested_top_k(X[:, [j]], y, [1])[1]
        assert fit.objective[j] == pytest.approx(single.objective, rel=1e-9)
        assert fit.intercept[j] == pytest.approx(single.intercept, abs=1e-4)


@settings(max_examples=40)
@given(st.integers(0, 1000), st.sampled_from([1e-3, 1.0, 1e3, 1e6]), st.sampled_from([150, 20]))
def test_hard_columns_converge(seed, C, n):
    X, y = correlated(n, 10, seed)
    y[:2] = [1, -1]
    X[:, 3], X[:, 4], X[:, 8], X[:, 9] = X[:, 2], 3.3, y, y * 1e-3
    X[:, 5] *= 1e4
    X[:, 6] *= 1e-4
    X[:, 7] += 1e5
    X[0, 0] = 1e4
    fit = fit_single_neurons(X, y, C=C)
    assert (fit.decrement < 1e-8).all()
    assert fit.coef[2] == fit.coef[3]


def test_a_histogram_saves_steps_and_does_not_change_the_minimum(monkeypatch):
    X, y = correlated(3000, 40)
    fit = fit_single_neurons(X, y)
    monkeypatch.setattr(single_neuron, "_fit_histograms", lambda X, *_: np.zeros((X.shape[1], 2)))
    plain = fit_single_neurons(X, y)
    assert fit.iterations.mean() < 1.5 < plain.iterations.mean()
    assert fit.objective == pytest.approx(plain.objective, rel=1e-9)


def test_constant_neurons_are_reported():
    X, y = correlated()
    X[:, 4] = 0.1
    fit = fit_single_neurons(X, y)
    assert fit.constant.nonzero()[0].tolist() == [4]
    assert (fit.coef[4], fit.intercept[4]) == (0, 0)
    assert fit.status[4] == "Converged. The neuron is constant on these rows."
    unbalanced = fit_single_neurons(X, y, class_weight="none")
    assert unbalanced.intercept[4] == pytest.approx(np.log((y > 0).sum() / (y < 0).sum()))


@pytest.mark.parametrize("C", [1.0, 1e4])
def test_separable_neurons_are_reported_and_stay_finite(C):
    y = np.tile([1, -1, -1], 30)
    noise = np.random.default_rng(0).uniform(0, 0.5, 90)
    touching = np.where(y > 0, noise, noise - 0.5)
    touching[:2] = 0
    X = np.column_stack([y + noise, noise - y, touching, noise])
    fit = fit_single_neurons(X, y, C=C)
    assert fit.separable.tolist() == [True, True, False, False]
    assert "only C limits" in fit.status[0]
    assert fit.converged.all()
    for j in range(4):
        best = objective(X[:, j], y, *reference(X[:, j], y, C), C)
        assert fit.objective[j] <= best * (1 + 1e-9)


def test_margins_beyond_the_largest_exponent():
    X, y = np.r_[np.linspace(-1, 1, 50), 1e4][:, None], np.r_[np.repeat([-1, 1], 25), -1]
    single, nested = fit_single_neurons(X, y, C=1e-3), fit_nested_top_k(X, y, [1], C=1e-3)[1]
    expected = objective(X[:, 0], y, single.coef[0], single.intercept[0], C=1e-3)
    assert single.objective[0] == pytest.approx(expected, rel=1e-11)
    assert single.objective[0] == pytest.approx(nested.objective, rel=1e-9)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_a_fit_to_rows_of_a_layer_equals_a_fit_to_only_these_rows(order, dtype):
    X = np.array(correlated(2500, 40)[0], dtype=dtype, order=order)
    X.flags.writeable = False
    rng = np.random.default_rng(0)
    rows = np.sort(rng.choice(len(X), 1500, replace=False))
    y = np.where(X[rows, 0] + rng.standard_normal(1500) > 3, 1, -1)
    fit, single = fit_single_neurons(X, y, rows=rows), fit_single_neurons(X[rows].astype(np.float64), y)
    assert fit.coef == pytest.approx(single.coef, rel=1e-12)
    assert fit.intercept == pytest.approx(single.intercept, rel=1e-12)


@settings(max_examples=20)
@given(st.integers(0, 2**32 - 1), st.sampled_from(["balanced", "none"]))
def test_a_row_of_weight_two_counts_as_two_rows(seed, class_weight):
    X, y = correlated(200, 5, seed)
    y[:2] = [1, -1]
    counts = np.random.default_rng(seed).integers(1, 4, len(y))
    weighted = fit_single_neurons(X, y, class_weight=class_weight, sample_weight=counts)
    repeated = fit_single_neurons(np.repeat(X, counts, axis=0), np.repeat(y, counts), class_weight=class_weight)
    assert weighted.objective == pytest.approx(repeated.objective, rel=1e-9)
    assert weighted.coef == pytest.approx(repeated.coef, rel=1e-4, abs=1e-4)
    ignored = fit_single_neurons(X, y, class_weight=class_weight)
    assert not np.allclose(weighted.coef, ignored.coef, rtol=1e-4)


@settings(max_examples=20)
@given(st.integers(0, 2**32 - 1), st.integers(-6, 6))
def test_laws(seed, power):
    X, y = correlated(150, 8, seed)
    y[:2] = [1, -1]
    fit, order = fit_single_neurons(X, y), np.random.default_rng(seed).permutation(8)
    assert fit_single_neurons(X[:, order], y).coef == pytest.approx(fit.coef[order], rel=1e-9)
    swapped = fit_single_neurons(X, -y)
    assert swapped.coef == pytest.approx(-fit.coef, rel=1e-4, abs=1e-4)
    assert swapped.intercept == pytest.approx(-fit.intercept, rel=1e-4, abs=1e-5)
    # Scaling a column by s is the same as weakening its ridge by s squared.
    scale = 2.0**power
    scaled, weaker = fit_single_neurons(X * scale, y), fit_single_neurons(X, y, C=scale**2)
    assert scaled.coef * scale == pytest.approx(weaker.coef, rel=1e-3, abs=1e-6)


def test_fits_do_not_change_their_input():
    X, y = correlated(20, 30)
    before = X.copy()
    fit_single_neurons(X, y)
    assert np.array_equal(X, before)


def test_too_few_steps_are_reported():
    X, y = correlated(noise=0.0)
    X[:, 2] = np.where(y > 0, 1e-3, -1e-3) * np.linspace(1, 2, len(y))
    fit = fit_single_neurons(X, y, C=1e9, max_iter=1)
    assert not fit.converged.all()
    assert (fit.iterations <= 1).all()
    assert "raise max_iter" in " ".join(fit.status)


@pytest.mark.parametrize(
    ("X", "y", "options", "message"),
    [
        ([[1.0], [np.nan]], [1, -1], {}, "Row 1, column 0 is nan"),
        ([[1.0], [2.0]], [1, 1], {}, "both classes"),
        ([[1.0], [2.0]], [1, 0], {}, "must be -1 or \\+1"),
        (np.empty((0, 3)), [], {}, "non-empty"),
        ([[1.0], [2.0]], [1, -1, 1], {}, "2 rows but 3 labels"),
        ([[1.0], [2.0]], [1, -1], {"C": 0.0}, "must be positive"),
        ([[1.0], [2.0]], [1, -1], {"rows": [0, 2]}, "not all among the 2 rows"),
        ([[1.0], [2.0]], [1, -1], {"rows": [1, 1]}, "increasing"),
        ([[1.0], [2.0]], [1, -1], {"sample_weight": [1, 0]}, "2 positive numbers"),
        ([[1.0], [2.0]], [1, -1], {"sample_weight": [1]}, "2 positive numbers"),
    ],
)
def test_errors(X, y, options, message):
    with pytest.raises(ProbeError, match=message):
        fit_single_neurons(X, y, **options)
