"""The data set and the model of stage 1, and the fingerprint that stores and tables share."""

from sparse_probing.activations.harvesting.prepare import prepare_harvest
from sparse_probing.activations.inputs import fingerprint, load_inputs
from sparse_probing.activations.tables.table_inputs import load_table_inputs
from tests.builders.harvests import HOOK


def test_stores_and_tables_record_one_fingerprint(tiny_harvest):
    activations, forward_pass = tiny_harvest.activations, tiny_harvest.forward_pass
    dataset, model = load_inputs(activations, forward_pass, weights=False)
    common = fingerprint(activations, forward_pass, dataset, model)
    tables = load_table_inputs(tiny_harvest.with_flags(experiment_type="activation_subset", dry_run=True))
    assert tables.fingerprint(HOOK) == common | {"hook_point": HOOK, "layers": [0, 1]}
    store = prepare_harvest(tiny_harvest, weights=False).plan.fingerprint
    assert common.pop("quantization") is None  # a store records it only where it is set
    assert store == common | {"algorithm_version": 2, "activation_aggregation": "none"}
