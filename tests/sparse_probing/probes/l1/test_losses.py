"""Losses of L1 paths: derivatives, duals, extreme scores."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparse_probing.probes.l1.losses import LogisticLoss, SquaredLoss


def losses(seed, n=30):
    rng = np.random.default_rng(seed)
    signs = np.where(np.arange(n) % 3 == 0, 1.0, -1.0)
    weights = rng.uniform(0.1, 5, n)
    return rng, (LogisticLoss(signs, weights), SquaredLoss(rng.standard_normal(n), weights))


@given(st.integers(0, 1000))
def test_derivatives_are_those_of_the_value(seed):
    rng, pair = losses(seed)
    scores, step = 3 * rng.standard_normal(30), rng.standard_normal(30)
    for loss in pair:
        residual, curvature = loss.derivatives(scores)
        h = 1e-5
        ahead, behind = loss.derivatives(scores + h * step)[0], loss.derivatives(scores - h * step)[0]
        slope = (loss.value(scores + h * step) - loss.value(scores - h * step)) / 2 / h
        assert slope == pytest.approx(-residual @ step, rel=1e-5, abs=1e-6)
        assert (behind - ahead) / 2 / h == pytest.approx(curvature * step, rel=1e-4, abs=1e-6)


@given(st.integers(0, 1000))
def test_dual_is_below_every_value_and_meets_it_at_the_null_intercept(seed):
    rng, pair = losses(seed)
    for loss in pair:
        null = np.full(30, loss.null_intercept())
        theta = loss.feasible(loss.derivatives(3 * rng.standard_normal(30))[0])
        assert theta.sum() == pytest.approx(0, abs=1e-9)
        assert loss.dual_value(theta) <= loss.value(null) * (1 + 1e-12)
        assert loss.dual_value(loss.derivatives(null)[0]) == pytest.approx(loss.value(null))
        assert loss.value(null) <= min(loss.value(null + 1e-3), loss.value(null - 1e-3))


def test_extreme_scores_stay_finite():
    _, (loss, _) = losses(0)
    for scores in (np.full(30, 1e6), np.full(30, -1e6)):
        residual, curvature = loss.derivatives(scores)
        assert np.isfinite([loss.value(scores), residual.sum(), curvature.sum()]).all()
