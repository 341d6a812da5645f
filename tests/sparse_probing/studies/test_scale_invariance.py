"""No study depends on the scale of a model's activations: a layer times a number gives the same predictions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sparse_probing.config import ProbingConfig
from sparse_probing.probes.estimators import DenseProbe, L1Probe, SingleNeuronProbe, SparseRegressor, TopKProbe
from sparse_probing.studies import STUDIES
from tests.builders.studies import planted_data, rank_and_fit

CONFIG = ProbingConfig.from_flags(
    max_k=8, n_neurons=4, osp_upto_k=2, osp_ridge_grid=(1.0,), iterative_pruning_n_prune_steps=2, controls=()
)


def fitted(name: str, factor: float, scaling: str = "rms") -> list:
    data = planted_data(kind=STUDIES[name].kind, scaling=scaling)
    return rank_and_fit(STUDIES[name], CONFIG, replace(data, layer=(data.layer.astype(np.float64) * factor)))


def regularization(probe) -> float:
    """Return C; 0 where the settings decide it, or where there is none."""
    return probe.further.get("regularization") or 0.0


def measured(probe) -> dict[str, float]:
    return {name: value for name, value in probe.metrics.items() if name.startswith("test_")}


@pytest.mark.parametrize("name", list(STUDIES))
def test_a_layer_times_a_number_gives_the_same_probes(name):
    reference = fitted(name, 1.0)
    for factor in (0.01, 100.0):
        scaled = fitted(name, factor)
        assert len(scaled) == len(reference)
        for mine, theirs in zip(scaled, reference, strict=True):
            np.testing.assert_array_equal(mine.support, theirs.support)
            size = max(float(np.abs(theirs.coef).max()), 1e-9)
            # Coefficients of random products are for the products of scaled neurons.
            is_product = theirs.further.get("basis") == "projection"
            undone = 1.0 if is_product else factor
            # They are rounded to float32, so that two rows can change places.
            tolerance = 1e-3 if is_product else 1e-6
            np.testing.assert_allclose(mine.coef * undone, theirs.coef, rtol=1e-5, atol=1e-5 * size)
            assert regularization(mine) == pytest.approx(regularization(theirs), rel=1e-5)
            assert measured(mine) == pytest.approx(measured(theirs), rel=1e-5, abs=tolerance, nan_ok=True)


def test_without_scaling_they_differ():
    areas = {factor: fitted("dense_probe", factor, "none")[0].further["regularization"] for factor in (0.01, 1.0)}
    assert areas[0.01] != areas[1.0]


@pytest.mark.parametrize("probe", [DenseProbe(), TopKProbe(k=4), SingleNeuronProbe(), L1Probe(C=0.1)])
def test_estimators_do_not_depend_on_the_scale(probe):
    neurons = planted_data().select()
    scores = [
        probe.fit(neurons.x_train.astype(float) * factor, neurons.y_train).decision_function(neurons.x_test * factor)
        for factor in (1.0, 0.01, 100.0)
    ]
    for each in scores[1:]:
        np.testing.assert_allclose(each, scores[0], atol=1e-5 * np.abs(scores[0]).max())


def test_the_regressor_does_not_depend_on_the_scale():
    neurons, probe = planted_data(kind="regression").select(), SparseRegressor(k=3)
    first, second = (
        probe.fit(neurons.x_train.astype(float) * factor, neurons.y_train).predict(neurons.x_test * factor)
        for factor in (1.0, 100.0)
    )
    np.testing.assert_allclose(first, second, atol=1e-5)
    assert probe.alpha_ in np.logspace(-3, 7, 21)
