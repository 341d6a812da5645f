"""Intervals of binary probes: of the same decision values, why there are none, and scores below chance."""

import dataclasses

import numpy as np
import pytest

from sparse_probing.config import ProbingConfig, SplitConfig
from sparse_probing.probes.inference.roc_auc_inference import roc_inference
from sparse_probing.studies import STUDIES
from sparse_probing.studies.base.feature_splits import split_rows
from sparse_probing.studies.base.fit_variant import fit_variant
from sparse_probing.studies.base.held_out_intervals import with_intervals
from sparse_probing.studies.base.variant_data import feature_data
from sparse_probing.studies.base.variants import NEURONS
from tests.builders.studies import rows_in_groups

N = 240
LABEL = np.where(np.arange(N) // 4 % 2, 1.0, -1.0)


@pytest.fixture
def data():
    layer = np.random.default_rng(0).standard_normal((N, 12)) + 0.8 * LABEL[:, None] * (np.arange(12) == 3)
    (split,) = split_rows("a", "binary", rows_in_groups(LABEL), SplitConfig(), 0)
    return feature_data(split, layer.astype(np.float32), NEURONS, "rms", 0)


@pytest.mark.parametrize("name", ["dense_probe", "heuristic_sparsity_sweep", "l1_path", "telescopic_sparsity_sweep"])
def test_intervals_are_those_of_the_decision_values(name, data):
    fittings = fit_variant(ProbingConfig.from_flags(experiment_type=(name,), max_k=4), STUDIES[name], [data])
    assert fittings.probes
    for _, probe in fittings.probes:
        scores = data.layer[data.test.row][:, probe.support].astype(np.float64) @ probe.coef
        areas = roc_inference(data.test.label, scores[:, None], data.test.group)
        assert probe.metrics["test_roc_auc"] == pytest.approx(areas.roc_auc[0], abs=1e-4)
        values = [probe.further[column] for column in ("test_roc_auc_low", "test_roc_auc_high", "p_value")]
        np.testing.assert_allclose(values, [areas.low[0], areas.high[0], areas.p_value[0]], atol=1e-4)


def one_probe(data, **changes):
    probe = STUDIES["dense_probe"].fit(ProbingConfig(), data)[0]
    return dataclasses.replace(probe, **changes)


def test_a_reversed_score_is_named_except_in_controls(data):
    probe = one_probe(data)
    reversed_probe = dataclasses.replace(probe, coef=-probe.coef)
    (result,) = with_intervals(data, [reversed_probe], 0.95)
    assert result.further["test_roc_auc_high"] < 0.5
    assert "Significantly below chance" in result.status


def test_too_few_groups_give_the_reason(data):
    test = dataclasses.replace(data.test, group=(data.test.label > 0).astype(np.int64))
    (result,) = with_intervals(dataclasses.replace(data, test=test), [one_probe(data)], 0.95)
    assert np.isnan([result.further["test_roc_auc_low"], result.further["p_value"]]).all()
    assert "No interval: All" in result.status


def test_directions_outside_the_layer_and_existing_p_values_are_left(data):
    outside = one_probe(data, further={"basis": "subspace"})
    tested = one_probe(data, further={"p_value": 0.25})
    first, second = with_intervals(data, [outside, tested], 0.95)
    assert first is outside
    assert second is tested
