"""Rankings of features: random neurons replace every ranking, standardised neurons are ranked as such."""

import numpy as np
import pytest

from sparse_probing.config import SplitConfig
from sparse_probing.studies.base.feature_splits import split_rows
from sparse_probing.studies.base.rank_neurons import ranked
from sparse_probing.studies.base.variant_data import feature_data
from sparse_probing.studies.base.variants import CONTROLS, NEURONS
from tests.builders.studies import rows_in_groups

N, WIDTH = 240, 12
ALTERNATING = np.where(np.arange(N) // 4 % 2, 1.0, -1.0)
"""The labels of every other group."""


@pytest.fixture
def layer():
    return np.random.default_rng(0).standard_normal((N, WIDTH)).astype(np.float32)


def test_random_neurons_replace_every_ranking(layer):
    layer[:, 5] += 3 * ALTERNATING
    (split,) = split_rows("a", "binary", rows_in_groups(ALTERNATING), SplitConfig(), 0)
    (plain,) = ranked([feature_data(split, layer, NEURONS, "none", 0)], ["mean_dif"])
    (control,) = ranked([feature_data(split, layer, CONTROLS["random_neurons"], "none", 0)], ["mean_dif"])
    assert plain.top("mean_dif", 1).tolist() == [5]
    assert np.array_equal(control.top("mean_dif", WIDTH), control.top("f_stat", WIDTH))
    assert set(control.scores) == {"random"}


@pytest.mark.parametrize("kind", ["binary", "multiclass"])
def test_neurons_that_are_each_scaled_are_ranked_as_such(layer, kind):
    label = ALTERNATING if kind == "binary" else (np.arange(N) // 4 % 3).astype(float)
    layer[:, 2] += label
    layer[:, 4] *= 1000
    (split,) = split_rows("a", kind, rows_in_groups(label), SplitConfig(), 0)
    best = {}
    for scaling in ("none", "rms", "unit", "paper"):
        (data,) = ranked([feature_data(split, layer, NEURONS, scaling, 0)], ["mean_dif"])
        best[scaling] = data.top("mean_dif", 1).item()
    assert best == {"none": 4, "rms": 4, "unit": 2, "paper": 2}


def test_without_features_there_is_nothing_to_rank():
    assert ranked([], ["mean_dif"]) == []
