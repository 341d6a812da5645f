"""Regression metrics against scikit-learn and SciPy, constant predictions, errors."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import pearsonr, spearmanr
from sklearn import metrics as scikit_learn

from probing_datasets.foundation.errors import ProbeError
from sparse_probing.probes.metrics.regression import regression_metrics


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1), st.integers(3, 80), st.booleans())
def test_equal_to_scikit_learn_and_scipy(seed, n, tied):
    rng = np.random.default_rng(seed)
    y = rng.standard_normal(n) * 3 + 50
    predictions = y[:, None] + rng.standard_normal((n, 3)) * [0.1, 1, 10]
    if tied:
        y, predictions = np.round(y), np.round(predictions)
    y[:2] = 0, 1
    predictions[:2] = [[0], [2]]
    metrics = regression_metrics(y, predictions)
    for column, values in enumerate(predictions.T):
        expected = {
            "r2": scikit_learn.r2_score(y, values),
            "rmse": scikit_learn.root_mean_squared_error(y, values),
            "mae": scikit_learn.mean_absolute_error(y, values),
            "explained_variance": scikit_learn.explained_variance_score(y, values),
            "max_error": scikit_learn.max_error(y, values),
            "mean_squared_error": scikit_learn.mean_squared_error(y, values),
            "median_absolute_error": scikit_learn.median_absolute_error(y, values),
            "mean_absolute_percentage_error": scikit_learn.mean_absolute_percentage_error(y, values),
            "d2_absolute_error": scikit_learn.d2_absolute_error_score(y, values),
            "pearson": pearsonr(y, values).statistic,
            "spearman": spearmanr(y, values).statistic,
        }
        assert metrics.keys() == expected.keys()
        for name, value in expected.items():
            assert metrics[name][column] == pytest.approx(value, rel=1e-12, abs=1e-12), name
        # The further two of the paper's code are equal to others with their default parameters.
        assert scikit_learn.d2_pinball_score(y, values) == pytest.approx(
            metrics["d2_absolute_error"][column], abs=1e-12
        )
        assert scikit_learn.d2_tweedie_score(y, values) == pytest.approx(metrics["r2"][column], abs=1e-12)


def test_constant_predictions_have_no_correlation():
    metrics = regression_metrics([1.0, 2.0, 3.0], np.array([[2.0, 1.0], [2.0, 2.0], [2.0, 3.0]]))
    assert np.isnan(metrics["pearson"][0])
    assert np.isnan(metrics["spearman"][0])
    assert metrics["r2"].tolist() == [0, 1]
    assert metrics["pearson"][1] == pytest.approx(1)


def test_control_shuffled_targets_explain_nothing():
    rng = np.random.default_rng(0)
    y = rng.standard_normal(2000)
    metrics = regression_metrics(rng.permutation(y), np.repeat(y[:, None], 2, axis=1))
    assert abs(metrics["pearson"]).max() < 0.1
    assert metrics["r2"].max() < -0.5


@pytest.mark.parametrize(
    ("y", "predictions", "message"),
    [
        ([1.0, 1.0], [[1.0], [2.0]], "All 2 targets are 1.0"),
        ([1.0, 2.0], [1.0, 2.0], r"must be \(n,\) and \(n, m\)"),
        ([1.0, np.nan], [[1.0], [2.0]], "NaN or infinite"),
    ],
)
def test_errors(y, predictions, message):
    with pytest.raises(ProbeError, match=message):
        regression_metrics(y, predictions)
