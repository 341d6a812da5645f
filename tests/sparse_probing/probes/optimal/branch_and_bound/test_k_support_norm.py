"""The k-support penalty against its definition, and the minimisers of its quadratic models."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.optimize import LinearConstraint, minimize

from sparse_probing.probes.optimal.branch_and_bound.k_support_norm import (
    minimise_exactly,
    minimise_roughly,
    model_value,
    penalty,
)


def by_definition(u, k):
    """Return the minimum of sum u^2 / s over shares s in [0, 1] whose sum is at most k."""
    used = u[u != 0]
    start = np.full(len(used), min(1.0, k / len(used)))
    result = minimize(
        lambda s: (used**2 / s).sum(),
        start,
        jac=lambda s: -(used**2) / s**2,
        bounds=[(1e-9, 1.0)] * len(used),
        constraints=[{"type": "ineq", "fun": lambda s: k - s.sum(), "jac": lambda s: -np.ones(len(s))}],
        method="SLSQP",
        options={"maxiter": 500, "ftol": 1e-13},
    )
    return result.fun


@given(arrays(np.float64, st.integers(1, 7), elements=st.integers(-8, 8).map(lambda i: i / 4)), st.integers(1, 5))
@settings(max_examples=150)
def test_penalty_is_that_of_the_definition(u, k):
    assume((u != 0).any())
    shares = np.zeros(len(u))
    value = penalty(u, 0, k, shares)
    assert value == pytest.approx(by_definition(u, k), rel=1e-5)
    assert (shares >= 0).all()
    assert (shares <= 1).all()
    assert shares.sum() <= k * (1 + 1e-12)
    used = u != 0
    assert (u[used] ** 2 / shares[used]).sum() == pytest.approx(value, rel=1e-12)


def test_penalty_between_the_squared_norms():
    rng = np.random.default_rng(0)
    u = rng.standard_normal(8)
    for k in range(1, 9):
        value = penalty(u, 0, k, np.zeros(8))
        assert u @ u <= value * (1 + 1e-12)
        assert np.abs(u).sum() ** 2 / k <= value * (1 + 1e-12)
    assert penalty(u, 0, 1, np.zeros(8)) == pytest.approx(np.abs(u).sum() ** 2)
    assert penalty(u, 0, 8, np.zeros(8)) == pytest.approx(u @ u)
    assert penalty(u, 0, 0, np.zeros(8)) == np.inf
    assert penalty(np.zeros(8), 0, 0, np.zeros(8)) == 0


def test_fixed_coefficients_are_squared():
    u = np.array([2.0, -3.0, 0.5, 1.0, -1.5])
    shares, free_shares = np.zeros(3), np.zeros(3)
    assert penalty(u, 2, 1, shares) == pytest.approx(13 + penalty(u[2:], 0, 1, free_shares))
    assert np.array_equal(shares, free_shares)


def least_by_shares(H, c, n_fixed, k, g):
    """Return the minimum of a model, by minimisation over the shares only, and a bound of its error.

    The gradient of the shares is -g/2 (c + H u)^2.
    """
    p = len(c)

    def value(s):
        root = np.sqrt(np.append(np.ones(n_fixed), np.maximum(s, 0)))
        u = -root * np.linalg.solve(root[:, None] * H * root + np.eye(p) / g, root * c)
        return c @ u / 2, (-g / 2 * (c + H @ u) ** 2)[n_fixed:]

    n_free = p - n_fixed
    start = np.full(n_free, min(1.0, k / n_free))
    unit = abs(value(start)[0]) + 1e-300
    result = minimize(
        lambda s: tuple(part / unit for part in value(s)),
        start,
        jac=True,
        bounds=[(0, 1)] * n_free,
        constraints=LinearConstraint(np.ones((1, n_free)), -np.inf, k),
        method="SLSQP",
        options={"maxiter": 2000, "ftol": 1e-15},
    )
    least, gradient = value(np.clip(result.x, 0, 1))
    linear = np.sort(gradient)[:k].sum()  # the minimum of the linearised function over all shares
    return least, gradient @ np.clip(result.x, 0, 1) - linear


@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 9),
    st.integers(0, 2),
    st.integers(1, 5),
    st.sampled_from([0.01, 1.0, 100.0]),
    st.sampled_from([1, 4, 30]),
)
@settings(max_examples=150)
def test_models_are_minimised(seed, n_free, n_fixed, k, g, rank):
    rng = np.random.default_rng(seed)
    p = n_free + n_fixed
    A = rng.standard_normal((rank, p))
    H, c = A.T @ A, A.T @ rng.standard_normal(rank) * 10 ** rng.uniform(-1, 1)
    least, error = least_by_shares(H, c, n_fixed, k, g)
    assume(error <= 1e-7 * abs(least))
    rough = minimise_roughly(H, c, np.zeros(p), n_fixed, k, g, 40, 1e-3)
    exact = minimise_exactly(H, c, rough, n_fixed, k, g, 60)
    values = [model_value(H, c, u, n_fixed, k, g, np.zeros(n_free)) for u in (np.zeros(p), rough, exact)]
    assert values[2] <= values[1] + 1e-12 * abs(least)
    assert values[2] >= least - error - 1e-7 * abs(least)
    assert values[2] <= least + (1e-6 if rank >= p else 1e-2) * abs(least)


@pytest.mark.parametrize("k", [1, 2, 3])
def test_ties_and_copies(k):
    """With equal columns the minimiser is not unique, but the minimum is."""
    rng = np.random.default_rng(1)
    A = np.repeat(rng.standard_normal((20, 3)), 2, axis=1)
    H, c = A.T @ A, -A.T @ rng.standard_normal(20)
    least, error = least_by_shares(H, c, 0, k, 0.5)
    assert error <= 1e-6 * abs(least)
    rough = minimise_roughly(H, c, np.zeros(6), 0, k, 0.5, 40, 1e-3)
    exact = minimise_exactly(H, c, rough, 0, k, 0.5, 60)
    assert model_value(H, c, exact, 0, k, 0.5, np.zeros(6)) == pytest.approx(least, rel=1e-4)


def test_nothing_to_explain():
    zero = np.zeros(4)
    assert minimise_roughly(np.eye(4), zero, zero, 1, 2, 1.0, 40, 1e-3).tolist() == [0, 0, 0, 0]
    assert minimise_exactly(np.zeros((4, 4)), zero, zero, 1, 2, 1.0, 60).tolist() == [0, 0, 0, 0]
