"""The temperature: torch's minimum, planted overconfidence, and reliability counts."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar
from scipy.special import softmax

from probing_datasets.foundation.errors import ProbeError
from sparse_probing.probes.metrics.temperature import confidences, fit_temperature, log_loss, reliability


def sampled(temperature, n=4000, n_classes=4, seed=0):
    """Return scores, and classes drawn from the softmax of scores / temperature."""
    rng = np.random.default_rng(seed)
    scores = 3 * rng.standard_normal((n, n_classes))
    chance = softmax(scores / temperature, axis=1)
    return scores, (rng.random((n, 1)) > chance.cumsum(axis=1)).sum(axis=1)


@pytest.mark.parametrize("planted", [0.5, 1.0, 4.0])
def test_finds_the_temperature_that_classes_were_drawn_with(planted):
    scores, codes = sampled(planted)
    temperature = fit_temperature(scores, codes)
    assert temperature == pytest.approx(planted, rel=0.1)
    around = [log_loss(scores, codes, temperature * factor) for factor in (0.9, 1.1)]
    assert log_loss(scores, codes, temperature) < min(around)
    expected = torch.nn.functional.cross_entropy(torch.tensor(scores) / temperature, torch.tensor(codes)).item()
    assert log_loss(scores, codes, temperature) == pytest.approx(expected, rel=1e-12)


def test_calibration_is_better_after_it_on_other_rows():
    scores, codes = sampled(4.0)
    temperature = fit_temperature(scores[:2000], codes[:2000])
    errors = []
    for value in (1.0, temperature):
        predicted, confidence = confidences(scores[2000:], value)
        errors.append(reliability(confidence, predicted == codes[2000:]).error)
    assert errors[1] < 0.05 < 0.2 < errors[0]


def test_one_class_is_a_sigmoid():
    rng = np.random.default_rng(0)
    scores = 4 * rng.standard_normal((3000, 1))
    codes = (rng.random(3000) < 1 / (1 + np.exp(-scores[:, 0] / 2))).astype(int)
    assert fit_temperature(scores, codes) == pytest.approx(2, rel=0.1)
    predicted, confidence = confidences(scores, 2.0)
    assert predicted.tolist() == (scores[:, 0] > 0).astype(int).tolist()
    assert (confidence >= 0.5).all()
    assert reliability(confidence, predicted == codes).error < 0.04


def test_scores_without_a_meaning_get_a_large_temperature():
    rng = np.random.default_rng(0)
    scores, codes = rng.standard_normal((5000, 3)), rng.integers(0, 3, 5000)
    _, confidence = confidences(scores, fit_temperature(scores, codes))
    assert confidence.max() < 0.45


@pytest.mark.parametrize("n_classes", [1, 4])
def test_rows_that_are_all_right_do_not_make_every_prediction_certain(n_classes):
    rng = np.random.default_rng(0)
    codes = rng.integers(0, max(n_classes, 2), 60)
    sign = np.where(codes[:, None] == (np.arange(n_classes) if n_classes > 1 else 1), 1.0, -1.0)
    scores = sign * rng.uniform(1, 2, (60, n_classes))
    temperature = fit_temperature(scores, codes)
    predicted, confidence = confidences(scores, temperature)
    assert (predicted == codes).all()
    assert 0.96 < confidence.mean() < 0.99  # 60 right rows do not show that fewer than 1 in 100 is wrong
    assert fit_temperature(scores * 10, codes) == pytest.approx(10 * temperature, rel=1e-3)


def test_labels_are_smoothed_by_one_row_of_either_kind():
    rng = np.random.default_rng(1)
    scores = rng.standard_normal((40, 1))
    codes = (scores[:, 0] + rng.standard_normal(40) > 0).astype(int)
    target = np.where(codes == 1, 41 / 42, 1 / 42)

    def loss(temperature):
        logits = scores[:, 0] / temperature
        return (np.logaddexp(0, logits) - target * logits).mean()

    best = minimize_scalar(loss, bounds=(1e-3, 1e3), method="bounded", options={"xatol": 1e-8})
    assert fit_temperature(scores, codes) == pytest.approx(best.x, rel=1e-3)


def test_reliability_counts():
    table = reliability([0.05, 0.95, 1.0, 0.91], [False, True, True, False], 10)
    assert table.n.tolist() == [1, 0, 0, 0, 0, 0, 0, 0, 0, 3]
    assert table.right[-1] == 2
    assert table.error == pytest.approx((0.05 + (2.86 - 2)) / 4)


def test_refuses():
    with pytest.raises(ProbeError, match="must be"):
        fit_temperature(np.ones((3, 2)), [0, 1, 2])
    with pytest.raises(ProbeError, match="not finite"):
        fit_temperature(np.full((3, 2), np.nan), [0, 1, 1])
