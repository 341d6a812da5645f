"""Copies of neurons in L1 paths: the lowest has the coefficient of all."""

import numpy as np
import pytest

from sparse_probing.probes.l1.l1_path import fit_l1_path, fit_lasso_path


def data(seed):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((120, 6))
    signal = X[:, 0] - X[:, 1] + 0.5 * X[:, 2]
    return X, np.sign(signal + rng.standard_normal(120)), signal + rng.standard_normal(120)


@pytest.mark.parametrize("kind", ["logistic", "lasso"])
@pytest.mark.parametrize("standardize", [True, False])
@pytest.mark.parametrize("seed", range(4))
def test_a_path_with_copies_is_the_path_without_them_on_the_lowest(kind, standardize, seed):
    X, label, target = data(seed)
    factors = [1, -1, 3, 1, 0.5, 1] if standardize else [1, -1, 1, -1, 1, 1]
    order = np.random.default_rng(seed).permutation(12)
    copied = np.hstack([X, X * factors])[:, order]
    fit, y = (fit_l1_path, label) if kind == "logistic" else (fit_lasso_path, target)
    alone = fit(X, y, standardize=standardize, tolerance=1e-9)
    path = fit(copied, y, standardize=standardize, tolerance=1e-9)
    lowest = {neuron: min(np.flatnonzero(order % 6 == neuron)) for neuron in range(6)}
    for few, many in zip(alone.fits, path.fits, strict=True):
        assert many.support.tolist() == sorted(lowest[j] for j in few.support.tolist())
        assert many.objective == pytest.approx(few.objective, rel=1e-8)
        np.testing.assert_allclose(
            copied[:, many.support] @ many.coef + many.intercept,
            X[:, few.support] @ few.coef + few.intercept,
            atol=2e-4,
        )


def test_an_l2_penalty_has_one_minimum_in_which_copies_share():
    X, label, _ = data(0)
    path = fit_l1_path(np.hstack([X, X]), label, l1_ratio=0.5, tolerance=1e-10)
    for fit in path.fits:
        coef = np.zeros(12)
        coef[fit.support] = fit.coef
        assert coef[:6] == pytest.approx(coef[6:], abs=1e-4)


def test_neurons_that_are_only_similar_are_kept():
    X, label, _ = data(0)
    near = X + 1e-3 * np.random.default_rng(1).standard_normal(X.shape)
    path = fit_l1_path(np.hstack([X, near]), label, n_Cs=8)
    assert any((fit.support >= 6).any() for fit in path.fits)
