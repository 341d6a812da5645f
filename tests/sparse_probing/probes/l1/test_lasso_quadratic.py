"""The exact minimum of a quadratic with an L1 penalty: optimality conditions, coordinate descent, closed forms."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import enet_path

from sparse_probing.probes.l1.lasso_quadratic import minimise_lasso_quadratic
from tests.builders.references import lasso_quadratic


def random_quadratic(p, n, seed):
    """Return Q and q of correlated columns, and a generator; where n < p only a small ridge makes Q regular."""
    rng = np.random.default_rng(seed)
    Z = rng.standard_normal((n, 3)) @ rng.standard_normal((3, p)) + 0.1 * rng.standard_normal((n, p))
    return Z.T @ Z + 1e-6 * np.eye(p), 3 * Z.T @ rng.standard_normal(n), rng


@settings(max_examples=60)
@given(
    st.integers(1, 40),
    st.integers(2, 60),
    st.sampled_from([0.01, 0.1, 0.9]),
    st.sampled_from([0.0, 1.0, 1e3]),
    st.integers(0, 10**6),
)
def test_optimality_from_any_start(p, n, share, distance, seed):
    Q, q, rng = random_quadratic(p, n, seed)
    l1, start = share * np.abs(q).max(), distance * rng.standard_normal(p)
    x = minimise_lasso_quadratic(Q, q, l1, start)
    pull, support = q - Q @ x, x != 0
    assert np.abs(pull).max() <= l1 * (1 + 1e-6)
    assert pull[support] == pytest.approx(l1 * np.sign(x[support]), rel=1e-6)
    assert lasso_quadratic(Q, q, l1, x) <= lasso_quadratic(Q, q, l1, start)


def test_equals_coordinate_descent():
    Q, q, _ = random_quadratic(30, 80, 0)
    factor = np.linalg.cholesky(Q)
    for l1 in np.abs(q).max() * np.array([0.9, 0.3, 0.01]):
        z = np.linalg.solve(factor, q)
        (coef,) = enet_path(factor.T, z, alphas=[l1 / 30], l1_ratio=1.0, tol=1e-14, max_iter=10**6)[1].T
        x = minimise_lasso_quadratic(Q, q, l1, np.zeros(30))
        assert lasso_quadratic(Q, q, l1, x) == pytest.approx(lasso_quadratic(Q, q, l1, coef), rel=1e-9)
        assert x == pytest.approx(coef, abs=1e-4)


def test_zero_where_the_penalty_wins_and_soft_threshold_where_columns_are_orthogonal():
    Q, q, _ = random_quadratic(10, 30, 1)
    assert not minimise_lasso_quadratic(Q, q, np.abs(q).max(), np.ones(10)).any()
    assert minimise_lasso_quadratic(2 * np.eye(3), np.array([3.0, -0.5, -5.0]), 1.0, np.zeros(3)) == pytest.approx(
        [1.0, 0.0, -2.0]
    )
