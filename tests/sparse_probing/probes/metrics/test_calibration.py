"""Calibration metrics against scikit-learn, and the prior correction of balanced probes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit
from sklearn.metrics import brier_score_loss, log_loss

from probing_datasets.foundation.errors import ProbeError
from sparse_probing.probes.l2.logistic import fit_dense
from sparse_probing.probes.metrics.calibration import calibration_metrics, log_prior_odds
from tests.builders.references import expected_calibration_error


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1), st.integers(2, 200), st.floats(0.1, 5))
def test_equal_to_scikit_learn_and_to_the_definition(seed, n, scale):
    rng = np.random.default_rng(seed)
    y = np.where(rng.random(n) < 0.3, 1, -1)
    y[:2] = 1, -1
    scores = scale * rng.standard_normal((n, 3))
    metrics = calibration_metrics(y, scores, n_bins=8)
    for column, probability in enumerate(expit(scores).T):
        assert metrics["brier_score"][column] == pytest.approx(brier_score_loss(y == 1, probability), abs=1e-12)
        # The reference rounds probabilities near 1; ours starts from decision values.
        rounding = 1e-15 * np.exp(np.abs(scores[:, column]).max())
        assert metrics["log_loss"][column] == pytest.approx(log_loss(y == 1, probability), abs=1e-12 + rounding)
        expected = expected_calibration_error(y, probability, 8)
        assert metrics["expected_calibration_error"][column] == pytest.approx(expected, abs=1e-12)


def test_certain_scores():
    y = np.array([1, 1, -1, -1])
    metrics = calibration_metrics(y, np.stack([800 * y, -800 * y], axis=1))
    assert metrics["brier_score"].tolist() == [0, 1]
    assert metrics["expected_calibration_error"].tolist() == [0, 1]
    assert metrics["log_loss"].tolist() == [0, 800]


def test_only_prior_correction_calibrates_a_balanced_probe():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((20_000, 2))
    y = np.where(rng.random(20_000) < expit(X @ [1.5, -1] - 3), 1, -1)
    train, test = slice(0, 10_000), slice(10_000, None)
    balanced, plain = (fit_dense(X[train], y[train], class_weight=weight) for weight in ("balanced", "none"))
    raw = X[test] @ balanced.coef + balanced.intercept
    unweighted = X[test] @ plain.coef + plain.intercept
    scores = np.stack([raw, raw + log_prior_odds(y[train]), unweighted], axis=1)
    wrong, corrected, best = calibration_metrics(y[test], scores)["expected_calibration_error"]
    assert wrong > 0.1
    assert corrected < 0.02
    assert best < 0.02


def test_errors():
    with pytest.raises(ProbeError, match="0 bins"):
        calibration_metrics([1, -1], [[1.0], [0.0]], n_bins=0)
    with pytest.raises(ProbeError, match="both classes"):
        log_prior_odds([1, 1])
