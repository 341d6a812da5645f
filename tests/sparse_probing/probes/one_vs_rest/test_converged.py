"""Converged one-vs-rest probes: scikit-learn's minima, the certificate, and what they refuse."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from probing_datasets.foundation.errors import ProbeError
from sparse_probing.probes.one_vs_rest.converged import fit_one_vs_rest
from tests.builders.layers import correlated_classes


def objective_of(X, is_class, coef, intercept, C):
    margins = np.where(is_class, 1.0, -1.0) * (X @ coef + intercept)
    return C * np.logaddexp(0, -margins).sum() + coef @ coef / 2


@pytest.mark.parametrize("shape", [(240, 10), (40, 40), (30, 90), (120, 200)])
def test_equals_scikit_learn_for_every_class_and_C(shape):
    X, codes = correlated_classes(*shape)
    is_class = codes[:, None] == np.arange(codes.max() + 1)
    Cs = [1e-4, 1e-2, 1.0, 100.0]
    path = fit_one_vs_rest(X, is_class, Cs, tolerance=1e-10)
    for i, C in enumerate(Cs):
        for k, of_class in enumerate(is_class.T):
            model = LogisticRegression(C=C, solver="newton-cholesky", tol=1e-12, max_iter=1000).fit(X, of_class)
            best = objective_of(X, of_class, model.coef_[0], model.intercept_[0], C)
            assert path.objective[i, k] == pytest.approx(best, rel=1e-8)
            assert objective_of(X, of_class, path.coef[i, k], path.intercept[i, k], C) == pytest.approx(best, rel=1e-8)
            assert path.coef[i, k] == pytest.approx(model.coef_[0], abs=1e-3 * np.abs(model.coef_).max())
    assert path.gap.max() <= 1e-8
    expected = np.stack([X @ path.coef[i].T + path.intercept[i] for i in range(len(Cs))])
    assert path.scores(X) == pytest.approx(expected, rel=1e-12)


def test_rows_may_have_several_classes_or_none_and_a_class_may_be_rare():
    X, codes = correlated_classes(200, 30)
    is_class = np.stack([codes == 0, codes <= 1, np.arange(200) < 2], axis=1)
    path = fit_one_vs_rest(X.astype(np.float32), is_class, [0.1])
    for k, of_class in enumerate(is_class.T):
        model = LogisticRegression(C=0.1, solver="newton-cholesky", tol=1e-12).fit(X, of_class)
        best = objective_of(X, of_class, model.coef_[0], model.intercept_[0], 0.1)
        assert path.objective[0, k] == pytest.approx(best, rel=1e-6)


@settings(max_examples=8)
@given(st.integers(0, 1000), st.sampled_from([(60, 8), (30, 50)]), st.integers(1, 4))
def test_the_gap_bounds_the_distance_to_the_minimum(seed, shape, n_steps):
    X, codes = correlated_classes(*shape, seed=seed)
    is_class = codes[:, None] == np.arange(codes.max() + 1)
    best = fit_one_vs_rest(X, is_class, [0.01, 1.0], tolerance=1e-12)
    early = fit_one_vs_rest(X, is_class, [0.01, 1.0], max_iter=n_steps)
    assert (early.objective * (1 - early.gap) <= best.objective * (1 + 1e-10)).all()
    assert (best.objective <= early.objective * (1 + 1e-10)).all()


def test_a_few_large_columns_and_a_large_C_are_certified():
    rng = np.random.default_rng(0)
    X, codes = correlated_classes(150, 300)
    X = (X * np.exp(2 * rng.standard_normal(300)) + 50).astype(np.float32)
    path = fit_one_vs_rest(X, codes[:, None] == np.arange(codes.max() + 1), [1e-6, 1.0, 1e4])
    assert path.gap.max() <= 1e-6


def test_a_fit_that_is_cut_short_reports_its_gap():
    X, codes = correlated_classes(150, 60)
    path = fit_one_vs_rest(X, codes[:, None] == [0, 1], [10.0], max_iter=1)
    assert path.gap.min() > 1e-6


def test_equal_columns_share_the_weight():
    X, codes = correlated_classes(100, 5)
    path = fit_one_vs_rest(np.hstack([X, X]), codes[:, None] == [0, 1], [1.0])
    assert path.coef[..., :5] == pytest.approx(path.coef[..., 5:], abs=1e-7)


@pytest.mark.parametrize(
    ("targets", "Cs", "message"),
    [
        (np.ones((20, 1), bool), [1.0], "All rows or no rows have class 0"),
        (np.zeros((20, 2)), [1.0], "must be booleans"),
        (np.arange(19)[:, None] > 5, [1.0], "for 20 rows"),
        (np.arange(20)[:, None] > 5, [0.0], "C is 0.0; it must be positive"),
    ],
)
def test_refuses(targets, Cs, message):
    X = np.random.default_rng(0).standard_normal((20, 3))
    with pytest.raises(ProbeError, match=message):
        fit_one_vs_rest(X, targets, Cs)


def test_refuses_activations_that_are_not_finite():
    X = np.ones((10, 2))
    X[3, 1] = np.inf
    with pytest.raises(ProbeError, match="Row 3, column 1 is inf"):
        fit_one_vs_rest(X, np.arange(10)[:, None] > 4, [1.0])
