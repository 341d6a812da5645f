"""Standardised, scaled and centred columns, and coefficients of stored activations."""

from typing import get_args

import numpy as np
import pytest

from probing_datasets.foundation.errors import ProbeError
from sparse_probing.config import ScalingName
from sparse_probing.probes.inputs.scaling import (
    ScaledColumns,
    Scaling,
    Standardiser,
    centred_columns,
    root_mean_square,
    undo_scaling,
)


def test_training_rows_get_mean_0_and_deviation_1_and_constant_columns_stay_finite():
    rows = np.random.default_rng(0).normal(3, 5, (200, 4)).astype(np.float32)
    rows[:, 2] = 7
    scaled = Standardiser.of(rows).apply(rows)
    np.testing.assert_allclose(scaled.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(scaled[:, [0, 1, 3]].std(0), 1, rtol=1e-5)
    assert (scaled[:, 2] == 0).all()


def test_undone_coefficients_give_the_same_scores_on_other_rows():
    rng = np.random.default_rng(1)
    train, other = (rng.normal(-2, 3, (100, 6)).astype(np.float32) for _ in range(2))
    scale, support, coef = Standardiser.of(train), np.array([4, 1]), np.array([0.5, -2.0])
    stored, intercept = scale.undo(support, coef, 0.3)
    expected = scale.apply(other)[:, support] @ coef + 0.3
    np.testing.assert_allclose(other[:, support] @ stored + intercept, expected, atol=1e-5)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("standardize", [True, False])
def test_columns_equal_the_plain_formula(dtype, order, standardize):
    rng = np.random.default_rng(0)
    X = np.asarray(3 * rng.standard_normal((200, 37)) + 5, dtype=dtype, order=order)
    X[:, 4] = 0.1
    wide = X.astype(np.float64)
    expected = wide - wide.mean(axis=0)
    expected[:, 4] = 0
    if standardize:
        expected /= np.where(np.arange(37) == 4, 1, wide.std(axis=0))
    columns, vector = ScaledColumns.of(X, standardize), rng.standard_normal(200)
    assert columns.correlate(vector) == pytest.approx(vector @ expected, abs=1e-9)
    assert columns.take(np.array([9, 4, 0])) == pytest.approx(expected[:, [9, 4, 0]].T, abs=1e-10)
    means, design = centred_columns(X)
    assert means == pytest.approx(wide.mean(axis=0))
    assert design == pytest.approx((wide - wide.mean(axis=0)).T, abs=1e-10)


def test_constant_layer_is_refused():
    with pytest.raises(ProbeError, match="All 3 neurons are constant"):
        ScaledColumns.of(np.full((5, 3), 0.1), True)


def test_undone_scaling_gives_the_same_scores_for_one_function_and_for_several():
    rng = np.random.default_rng(2)
    X, mean, scale = rng.standard_normal((50, 4)), rng.standard_normal(4), rng.uniform(0.1, 5, 4)
    for coef, intercept in ((rng.standard_normal(4), 0.7), (rng.standard_normal((3, 4)), rng.standard_normal(3))):
        stored, stored_intercept = undo_scaling(coef, intercept, mean, scale)
        assert X @ stored.T + stored_intercept == pytest.approx((X - mean) / scale @ coef.T + intercept)
        same, centred_intercept = undo_scaling(coef, intercept, mean)
        assert X @ same.T + centred_intercept == pytest.approx((X - mean) @ coef.T + intercept)


def test_scaled_columns_undo_their_scaling():
    rng = np.random.default_rng(3)
    X = 3 * rng.standard_normal((80, 6)) + 5
    columns, support, coef = ScaledColumns.of(X, standardize=True), np.array([4, 1]), np.array([0.5, -2.0])
    stored, intercept = columns.undo(support, coef, 0.3)
    assert X[:, support] @ stored + intercept == pytest.approx(coef @ columns.take(support) + 0.3)


def test_root_mean_square_is_that_of_centred_rows_and_does_not_see_a_shift_or_a_rotation():
    rng = np.random.default_rng(4)
    X, rows = rng.normal(0, 3, (80, 70)), np.arange(0, 80, 2)
    expected = np.sqrt(((X[rows] - X[rows].mean(0)) ** 2).mean())
    assert root_mean_square(X, rows) == pytest.approx(expected, rel=1e-12)
    rotation = np.linalg.qr(rng.standard_normal((70, 70)))[0]
    assert root_mean_square(X @ rotation + 5, rows) == pytest.approx(expected, rel=1e-9)
    assert root_mean_square(X.astype(np.float16), rows) == pytest.approx(expected, rel=1e-3)
    assert root_mean_square(np.full((4, 3), 0.1)) == 1.0


def test_scalings_divide_as_documented():
    rng = np.random.default_rng(5)
    rows = rng.normal(3, [1, 4, 9], (200, 3))
    assert Standardiser.of(rows, "none") is None
    np.testing.assert_allclose(Standardiser.of(rows, "paper").apply(rows), rows / (10 * rows.std(0)), rtol=1e-6)
    np.testing.assert_allclose(Standardiser.of(rows, "rms").apply(rows), rows / root_mean_square(rows), rtol=1e-6)
    np.testing.assert_allclose(Standardiser.of(rows, "rms", 2.0).apply(rows), rows / 2)


def test_a_constant_neuron_stays_finite_on_other_rows():
    rows = np.full((7, 2), 0.1, np.float32)
    for scaling in ("unit", "paper", "rms"):
        # The paper's code divides it by ten times the least deviation, 1e-3.
        largest = 1.1 / (10 * 1e-3) if scaling == "paper" else 10
        assert np.abs(Standardiser.of(rows, scaling).apply(rows + 1)).max() == pytest.approx(largest, rel=1)


def test_names_of_scalings_are_those_of_the_settings():
    assert get_args(Scaling) == get_args(ScalingName)
