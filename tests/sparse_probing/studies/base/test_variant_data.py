"""The data of a feature in each variant: controls, random numbers, scaled neurons, rotations of any thread count."""

import dataclasses

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from sparse_probing.config import ProbingConfig, SplitConfig
from sparse_probing.studies.base.feature_splits import split_rows
from sparse_probing.studies.base.rank_neurons import ranked
from sparse_probing.studies.base.variant_data import data_of_variants, feature_data
from sparse_probing.studies.base.variants import CONTROLS, NEURONS, Variant
from tests.builders.studies import rows_in_groups, rows_of_feature

N, WIDTH = 240, 12
ALTERNATING = np.where(np.arange(N) // 4 % 2, 1.0, -1.0)
"""The labels of every other group."""


@pytest.fixture
def layer():
    return np.random.default_rng(0).standard_normal((N, WIDTH)).astype(np.float32)


def made(layer, variant=NEURONS, feature="a", number=0, rows=None, seed=0):
    """Return the data of one binary feature."""
    (split,) = split_rows(feature, "binary", rows or rows_in_groups(ALTERNATING), SplitConfig(), seed)
    return feature_data(split, layer, variant, False, seed, number)


def test_shuffled_labels_stay_whole_where_a_group_has_one(layer):
    plain, shuffled = made(layer), made(layer, CONTROLS["shuffled_labels"])
    for before, after in ((plain.train, shuffled.train), (plain.test, shuffled.test)):
        assert np.array_equal(before.row, after.row)
        for group in np.unique(after.group):
            assert len(set(after.label[after.group == group])) == 1
    assert not np.array_equal(plain.train.label, shuffled.train.label)


def test_control_labels_that_differ_within_groups_keep_sequences_whole_and_groups_mixed(layer):
    rows = rows_in_groups(np.where(np.arange(N) // 2 % 2, 1.0, -1.0))
    shuffled = made(layer, CONTROLS["shuffled_labels"], rows=rows).train
    per_sequence = [len(set(shuffled.label[shuffled.sequence == s])) for s in np.unique(shuffled.sequence)]
    per_group = [len(set(shuffled.label[shuffled.group == g])) for g in np.unique(shuffled.group)]
    assert set(per_sequence) == {1}
    assert set(per_group) == {2}


def test_control_labels_of_real_numbers_keep_neighbours_together():
    label = np.arange(N, dtype=np.float64)
    (split,) = split_rows("a", "regression", rows_in_groups(label), SplitConfig(), 0)
    train = feature_data(split, np.zeros((N, 2)), CONTROLS["shuffled_labels"], "none", 0).train
    steps = np.diff(train.label)[np.diff(train.group) == 0]
    assert np.isin(steps, (1, -3)).all()  # a pattern of four neighbours, turned
    assert not np.array_equal(train.label, label[train.row])


def test_features_layers_and_controls_have_their_own_random_numbers(layer):
    data = [
        made(layer),
        made(layer, feature="b"),
        made(layer, number=1),
        made(layer, CONTROLS["random_neurons"]),
        made(layer, seed=1),
    ]
    orders = [ranked([each], ["random"])[0].top("random", WIDTH).tolist() for each in data]
    assert len({tuple(order) for order in orders}) == len(orders)
    again = ranked([made(layer)], ["random"])[0].top("random", WIDTH).tolist()
    assert again == orders[0]
    assert not np.array_equal(data[0].rng("ranking").random(3), data[0].rng("labels").random(3))


def test_selected_neurons_are_the_requested_rows_and_neurons(layer):
    data = dataclasses.replace(made(layer), scaling="unit")
    neurons = data.select(np.array([7, 1]))
    stored = layer[data.train.row][:, [7, 1]].astype(np.float64)
    np.testing.assert_allclose(neurons.x_train, (stored - stored.mean(0)) / stored.std(0), atol=1e-5)
    test = layer[data.test.row][:, [7, 1]]
    np.testing.assert_allclose(neurons.x_test, (test - stored.mean(0)) / stored.std(0), atol=1e-5)


def test_every_variant_reads_its_activations_and_carries_its_name(layer):
    (split,) = split_rows("a", "binary", rows_of_feature(ALTERNATING), SplitConfig(), 0)
    variants = [NEURONS, Variant(basis="rotation", trial=2), CONTROLS["random_init"]]
    random_layer = layer + 1
    made = data_of_variants(
        ProbingConfig(), variants, [split], 3, lambda random_init: random_layer if random_init else layer
    )
    (plain,), (rotated,), (control,) = made
    assert [data.variant for data in (plain, rotated, control)] == variants
    assert np.shares_memory(plain.layer, layer)
    assert np.shares_memory(control.layer, random_layer)
    np.testing.assert_allclose(np.linalg.norm(rotated.layer, axis=1), np.linalg.norm(layer, axis=1), rtol=1e-5)
    assert np.abs(rotated.layer - layer).max() > 0.1
    assert plain.train.row.tolist() == control.train.row.tolist() == rotated.train.row.tolist()


def test_a_rotated_layer_is_the_same_with_any_number_of_threads():
    layer = np.random.default_rng(0).standard_normal((270, 512)).astype(np.float32)
    label = np.where(np.arange(270) // 2 % 2, 1.0, -1.0)
    splits = split_rows("a", "binary", rows_of_feature(label), SplitConfig(), 0)
    rotated = []
    for threads in (1, 2):
        with threadpool_limits(threads):
            variants = data_of_variants(
                ProbingConfig(), [Variant(basis="rotation")], splits, 0, lambda random_init: layer
            )
            ((data,),) = variants
            rotated.append(data.layer)
    assert rotated[0].tobytes() == rotated[1].tobytes()
