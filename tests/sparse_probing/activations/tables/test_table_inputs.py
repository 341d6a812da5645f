"""The inputs of tables: layers, widths, folders and fingerprints."""

import pytest

from probing_datasets.foundation.errors import ModelError, SettingsError
from sparse_probing.activations.tables.table_inputs import load_table_inputs


@pytest.fixture
def config(tiny_harvest):
    return tiny_harvest.with_flags(experiment_type="neuron_subset")


def test_layers_widths_and_folders(config):
    inputs = load_table_inputs(config.with_flags(layers=(1,), further_locations=("hook_resid_post",)))
    assert inputs.layers == (1,)
    assert inputs.widths == {"mlp.hook_post": 48, "hook_resid_post": 16}
    expected = (
        config.activations.results_dir / "neuron_subset" / "tiny" / "natural_lang_id.tiny.64.-1" / "hook_resid_post"
    )
    assert inputs.folder("hook_resid_post") == expected


def test_the_fingerprint_tells_weights_and_data_apart(config):
    trained = load_table_inputs(config).fingerprint("mlp.hook_post")
    random = load_table_inputs(config.with_flags(random_init=True, seed=1)).fingerprint("mlp.hook_post")
    assert {key for key in trained if trained[key] != random[key]} == {"random_init", "weight_hash"}


def test_pooled_rows_and_missing_layers_are_refused(config):
    with pytest.raises(SettingsError, match="neuron_subset needs single tokens"):
        load_table_inputs(config.with_flags(activation_aggregation="mean"))
    with pytest.raises(ModelError, match="there is no layer 9"):
        load_table_inputs(config.with_flags(layers=(9,)))
