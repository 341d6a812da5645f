import numpy as np

from experiments.probes.standardise import Standardiser


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
