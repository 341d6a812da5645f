"""Multinomial probes: minima, gaps, laws, separable and badly scaled columns, errors."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from probing_datasets.foundation.errors import ProbeError
from sparse_probing.probes.convergence import SEPARATED
from sparse_probing.probes.l2.logistic import fit_dense
from sparse_probing.probes.l2.multinomial import fit_multinomial
from tests.builders.layers import correlated_classes
from tests.builders.references import multinomial_objective


@pytest.mark.parametrize("shape", [(240, 10), (40, 40), (30, 90)])
@pytest.mark.parametrize("C", [1e-3, 1.0, 100.0])
@pytest.mark.parametrize("class_weight", ["balanced", "none"])
def test_equals_scikit_learn(shape, C, class_weight):
    X, codes = correlated_classes(*shape)
    balanced = class_weight == "balanced"
    fit = fit_multinomial(X, codes, C, class_weight)
    model = LogisticRegression(
        C=C, solver="newton-cholesky", tol=1e-10, max_iter=1000, class_weight="balanced" if balanced else None
    ).fit(X, codes)
    best = multinomial_objective(X, codes, model.coef_, model.intercept_, C, balanced)
    assert fit.objective == pytest.approx(
        multinomial_objective(X, codes, fit.coef, fit.intercept, C, balanced), rel=1e-11
    )
    assert fit.objective == pytest.approx(best, rel=1e-8)
    assert fit.coef == pytest.approx(model.coef_, abs=1e-3 * np.abs(model.coef_).max())
    assert (fit.predict(X) == model.predict(X)).mean() >= 0.99
    assert fit.gap <= 1e-8
    assert fit.converged


def test_thirty_classes():
    X, codes = correlated_classes(600, 20, 30)
    fit = fit_multinomial(X, codes)
    model = LogisticRegression(solver="lbfgs", tol=1e-7, max_iter=5000, class_weight="balanced").fit(X, codes)
    assert fit.objective == pytest.approx(multinomial_objective(X, codes, model.coef_, model.intercept_), rel=1e-8)
    assert fit.predict(X).tolist() == model.predict(X).tolist()


def test_gap_bounds_the_distance_to_the_minimum():
    X, codes = correlated_classes()
    best = fit_multinomial(X, codes, 10.0, tolerance=1e-13)
    for steps in (1, 5, 15):
        early = fit_multinomial(X, codes, 10.0, max_iter=steps)
        assert early.objective * (1 - early.gap) <= best.objective * (1 + 1e-12) <= early.objective * (1 + 2e-12)
        assert early.iterations <= steps
    hurried = fit_multinomial(X, codes, 10.0, max_iter=2)
    assert not hurried.converged
    assert "maximum number of steps" in hurried.status


def test_two_classes_are_the_binary_probe_with_twice_the_C():
    X, codes = correlated_classes(n_classes=2)
    fit, binary = fit_multinomial(X, codes, 1.5), fit_dense(X, 2 * codes - 1, 3.0)
    assert 2 * fit.objective == pytest.approx(binary.objective, rel=1e-8)
    assert fit.coef[1] - fit.coef[0] == pytest.approx(binary.coef, abs=1e-3)
    assert fit.intercept[1] - fit.intercept[0] == pytest.approx(binary.intercept, abs=1e-3)


@settings(max_examples=15)
@given(st.integers(0, 1000), st.sampled_from([(90, 6), (15, 30)]))
def test_laws(seed, shape):
    X, codes = correlated_classes(*shape, 3, seed)
    rng = np.random.default_rng(seed)
    order, renamed = rng.permutation(shape[1]), np.array(["c", "a", "b"])
    fit = fit_multinomial(X, codes, tolerance=1e-12)
    moved = fit_multinomial(X[:, order], codes, tolerance=1e-12)
    named = fit_multinomial(X, renamed[codes], tolerance=1e-12)
    twice = fit_multinomial(np.vstack([X, X]), np.append(codes, codes), 0.5, tolerance=1e-12)
    shifted = fit_multinomial(X + 100, codes, tolerance=1e-12)
    assert moved.coef == pytest.approx(fit.coef[:, order], abs=1e-4)
    assert named.classes.tolist() == ["a", "b", "c"]
    assert named.coef == pytest.approx(fit.coef[[1, 2, 0]], abs=1e-4)
    assert twice.coef == pytest.approx(fit.coef, abs=1e-4)
    assert shifted.scores(X + 100) == pytest.approx(fit.scores(X), abs=1e-3)
    assert fit.coef.sum(axis=0) == pytest.approx(0, abs=1e-9)
    assert fit.intercept.sum() == pytest.approx(0, abs=1e-8)


def test_separable_constant_and_badly_scaled_columns():
    X, codes = correlated_classes(120, 12, 3, noise=0.0)
    X[:, 3], X[:, 4], X[:, 5] = 3.3, X[:, 0], 1e4 * X[:, 5]
    for C in (1.0, 1e4):
        fit = fit_multinomial(X, codes, C)
        assert fit.converged
        assert fit.coef[:, 3] == pytest.approx(0, abs=1e-8)
        assert fit.coef[:, 4] == pytest.approx(fit.coef[:, 0], abs=1e-4)
    assert fit.status == SEPARATED
    assert fit.predict(X).tolist() == codes.tolist()


def test_shuffled_classes_predict_nothing():
    X, codes = correlated_classes(600, 10, 3, noise=0.3)
    train, test = slice(0, 400), slice(400, 600)
    right = fit_multinomial(X[train], codes[train]).predict(X[test]) == codes[test]
    shuffled = np.random.default_rng(0).permutation(codes)
    wrong = fit_multinomial(X[train], shuffled[train]).predict(X[test]) == shuffled[test]
    assert right.mean() > 0.7
    assert wrong.mean() < 0.5


def test_bad_input():
    X, codes = correlated_classes()
    with pytest.raises(ProbeError, match="C is 0"):
        fit_multinomial(X, codes, 0)
    with pytest.raises(ProbeError, match="All 240 rows are of class 2"):
        fit_multinomial(X, np.full(240, 2))
    with pytest.raises(ProbeError, match=r"240 rows but targets of shape \(3,\)"):
        fit_multinomial(X, codes[:3])
    X[1, 1] = np.nan
    with pytest.raises(ProbeError, match="Row 1, column 1 is nan"):
        fit_multinomial(X, codes)
