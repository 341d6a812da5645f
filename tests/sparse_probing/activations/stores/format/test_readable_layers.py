"""Reading whole layers and the rows of one feature from a store; the other ways of reading: test_activation_store."""

import dataclasses

import numpy as np
import pytest

from probing_datasets.feature_dataset.probed_rows import ProbedRows, feature_rows
from probing_datasets.foundation.errors import DatasetError, StoreError
from sparse_probing.activations.harvest import harvest
from tests.builders.harvests import HOOK


@pytest.fixture
def stores(tiny_harvest, small_parts):
    """A function that returns the store of some settings."""

    def store(**settings):
        return harvest(tiny_harvest.with_flags(**settings))

    return store


def test_a_layer_is_float32_with_all_rows_and_neurons(stores):
    store = stores(activation_aggregation="mean")
    layer = store.layer(1)
    assert (layer.shape, layer.dtype) == ((270, 48), np.float32)
    assert np.array_equal(layer, store.read(1))
    assert np.array_equal(store.layer(1, HOOK), layer)


@pytest.mark.parametrize(
    "settings", [{}, {"activation_aggregation": "max"}, {"probe_next_token_feature": True}, {"store": "hdf5"}]
)
def test_rows_of_a_feature_are_those_that_stage_2_probes(stores, tiny_dataset, settings):
    store = stores(**settings)
    activations, labels, groups = store.rows_of(tiny_dataset, "French", layer=1)
    aggregation = settings.get("activation_aggregation", "none")
    next_token = settings.get("probe_next_token_feature", False)
    expected = feature_rows(tiny_dataset, "French", ProbedRows(*store.rows), aggregation, next_token)
    assert activations.dtype == np.float32
    assert np.array_equal(activations, store.layer(1)[expected.row])
    assert np.array_equal(labels, expected.label)
    assert set(labels) == {-1.0, 1.0}
    assert np.array_equal(groups, expected.group)
    other_layer, *_ = store.rows_of(tiny_dataset, "French", 0, HOOK)
    assert np.abs(other_layer - activations).max() > 0.01


def test_errors_list_the_existing_layers_hook_points_and_features(stores, tiny_dataset):
    store = stores(activation_aggregation="mean")
    with pytest.raises(DatasetError, match=r"has no feature Klingon; it has: .*French"):
        store.rows_of(tiny_dataset, "Klingon", layer=1)
    for read in (store.layer, lambda *place: store.rows_of(tiny_dataset, "French", *place)):
        with pytest.raises(StoreError, match=r"holds mlp.hook_post of layers 0, 1\."):
            read(7)
        with pytest.raises(StoreError, match=r"does not hold mlp.hook_pre of layer 1: it holds mlp.hook_post"):
            read(1, "mlp.hook_pre")


def test_rows_of_another_data_set_are_refused(stores, tiny_dataset):
    description = dataclasses.replace(tiny_dataset.description, content_hash="0" * 32)
    other = dataclasses.replace(tiny_dataset, description=description)
    with pytest.raises(StoreError, match=r"was made from another data set .*Pass the data set that was harvested"):
        stores(activation_aggregation="mean").rows_of(other, "French", layer=1)


def test_the_repr_describes_the_store(stores, tiny_model_dir):
    store = stores(activation_aggregation="mean", layers=(1,))
    assert repr(store) == (
        f"ZarrStore('{store.path}', model='{tiny_model_dir}', dataset='natural_lang_id.tiny.64.-1', layers 1, "
        "mlp.hook_post 270 x 48, precision='16', complete)"
    )
    store.discard_part(1)
    assert repr(store).endswith("2 of 3 parts)")
