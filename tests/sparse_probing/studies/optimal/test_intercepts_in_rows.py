"""What rows say about intercepts and supports that are not unique."""

import dataclasses

import numpy as np
import pytest

from sparse_probing.probes.optimal.problem import class_weights
from sparse_probing.studies import STUDIES
from tests.builders.studies import PLANTED, planted_data, rank_and_fit

SWEEP = STUDIES["optimal_sparse_probing"]


def optimal(probes):
    return [p for p in probes if p.probe.startswith("optimal")]


@pytest.mark.parametrize("scaling", ["rms", "unit"])
def test_every_intercept_of_the_interval_has_the_same_objective_on_stored_activations(config, scaling):
    data = planted_data(shift=1.0, scaling=scaling)
    x, y = data.layer[data.train.row].astype(np.float64), data.train.label
    widths = []
    for probe in optimal(rank_and_fit(SWEEP, config.with_flags(osp_ridge=0.1), data)):
        low, high = probe.further["intercept_low"], probe.further["intercept_high"]
        assert low - 1e-12 <= probe.intercept <= high + 1e-12

        def loss(b, probe=probe):
            return class_weights(y) @ np.maximum(0, 1 - y * (x[:, probe.support] @ probe.coef + b))

        assert [loss(low), loss(high)] == pytest.approx([loss(probe.intercept)] * 2, rel=1e-6)
        assert min(loss(low - 1e-3), loss(high + 1e-3)) > loss(probe.intercept) * (1 + 1e-9)
        widths.append(high - low)
    assert max(widths) > 0.05


def test_the_threshold_is_as_good_as_the_refits_on_held_out_rows(config):
    """Under a strong ridge any intercept of a wide interval is optimal: the solver used to return an arbitrary one."""
    errors = []
    for seed in range(4):
        probes = rank_and_fit(SWEEP, config.with_flags(osp_ridge=0.1), planted_data(shift=2.0, seed=seed))
        for own, refit in zip(probes[::2], probes[1::2], strict=True):
            errors.append(refit.metrics["test_balanced_accuracy"] - own.metrics["test_balanced_accuracy"])
    assert max(errors) < 0.08
    assert np.mean(errors) < 0.02


def test_a_row_names_the_neurons_that_others_can_replace(config):
    data = planted_data()
    layer = data.layer.copy()
    layer[:, 20] = -layer[:, PLANTED]
    copied = dataclasses.replace(data, layer=np.asfortranarray(layer))
    one, _ = optimal(rank_and_fit(SWEEP, config, copied))
    assert one.support.tolist() == [PLANTED]  # the lower of the two
    assert one.further["replaceable"] == [PLANTED]
    one, two = optimal(rank_and_fit(SWEEP, config, data))
    assert one.further["replaceable"] == two.further["replaceable"] == []
    layer = np.ones_like(data.layer)
    layer[:, PLANTED] = data.layer[:, PLANTED]
    constant = dataclasses.replace(data, layer=np.asfortranarray(layer))
    _, two = optimal(rank_and_fit(SWEEP, config, constant))
    assert two.support.tolist() == [0, PLANTED]
    assert two.further["replaceable"] == [0]


def test_squares_have_one_intercept_and_no_interval(config):
    data = planted_data(kind="regression", shift=1.0)
    for probe in rank_and_fit(STUDIES["optimal_sparse_regression"], config, data):
        assert "intercept_low" not in probe.further
