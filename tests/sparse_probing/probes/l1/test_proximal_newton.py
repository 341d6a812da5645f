"""Proximal Newton steps: weights of rows and any start lead to the same minimum."""

import numpy as np
import pytest

from sparse_probing.probes.inputs.scaling import ScaledColumns
from sparse_probing.probes.l1.losses import LogisticLoss, SquaredLoss
from sparse_probing.probes.l1.proximal_newton import Penalty, minimise, null_correlation, null_point


def weighted_rows(n=60, d=15):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, d))
    return X, np.where(X[:, 0] + rng.standard_normal(n) > 0, 1.0, -1.0), rng.integers(1, 4, n)


@pytest.mark.parametrize("l2", [0.0, 0.7])
@pytest.mark.parametrize("loss", [LogisticLoss, SquaredLoss])
def test_a_row_of_weight_two_counts_as_two_rows(loss, l2):
    X, y, counts = weighted_rows()
    rows = np.repeat(np.arange(len(y)), counts)
    # Without standardisation, because repeated rows have other deviations. Other means change only the intercept.
    weighted, repeated = ScaledColumns.of(X, False), ScaledColumns.of(X[rows], False)
    a, b = loss(y, counts.astype(float)), loss(y[rows], np.ones(len(rows)))
    penalty = Penalty(3.0, l2)
    one = minimise(weighted, a, penalty, null_point(a), 1e-12, 100)
    other = minimise(repeated, b, penalty, null_point(b), 1e-12, 100)
    assert one.objective == pytest.approx(other.objective, rel=1e-11)
    assert one.support.tolist() == other.support.tolist()
    assert one.coef == pytest.approx(other.coef, abs=1e-5)
    assert null_correlation(weighted, a) == pytest.approx(null_correlation(repeated, b))


@pytest.mark.parametrize("loss", [LogisticLoss, SquaredLoss])
def test_any_start_leads_to_the_same_minimum(loss):
    X, y, _ = weighted_rows()
    columns, penalty = ScaledColumns.of(X, True), Penalty(2.0, 0.0)
    fit = loss(y, np.ones(len(y)))
    sparse = minimise(columns, fit, Penalty(0.01, 0.0), null_point(fit), 1e-9, 100)
    cold, warm = (minimise(columns, fit, penalty, start, 1e-12, 100) for start in (null_point(fit), sparse))
    assert cold.objective == pytest.approx(warm.objective, rel=1e-11)
    assert cold.coef == pytest.approx(warm.coef, abs=1e-5)
    assert warm.gap <= 1e-12
