"""The data set and the model of stage 1, and the fingerprint that stores and tables share."""

import copy
from dataclasses import replace

import numpy as np
import pytest

from probing_datasets.foundation.errors import ModelError
from sparse_probing.activations.harvesting.prepare import prepare_harvest
from sparse_probing.activations.inputs import check_fit, fingerprint, load_inputs
from sparse_probing.activations.tables.table_inputs import load_table_inputs
from sparse_probing.config import HarvestConfig
from tests.builders.harvests import HOOK, load_model_once


def test_stores_and_tables_record_one_fingerprint(tiny_harvest):
    activations, forward_pass = tiny_harvest.activations, tiny_harvest.forward_pass
    dataset, model = load_inputs(activations, forward_pass, weights=False)
    common = fingerprint(activations, forward_pass, dataset, model)
    tables = load_table_inputs(tiny_harvest.with_flags(experiment_type="neuron_subset", dry_run=True))
    assert tables.fingerprint(HOOK) == common | {"hook_point": HOOK, "layers": [0, 1]}
    store = prepare_harvest(tiny_harvest, weights=False).plan.fingerprint
    assert common.pop("quantization") is None  # a store records it only where it is set
    assert store == common | {"algorithm_version": 2, "activation_aggregation": "none"}


def test_the_device_is_resolved_where_the_model_runs(tiny_harvest, monkeypatch):
    config = tiny_harvest.with_flags(device="auto")
    assert HarvestConfig().forward_pass.device == "auto"
    assert config.record()["device"] == "auto"
    dataset, planned = load_inputs(config.activations, config.forward_pass, weights=False)
    _, loaded = load_inputs(config.activations, config.forward_pass)
    for has_cuda, device in ((False, "cpu"), (True, "cuda")):
        monkeypatch.setattr("torch.cuda.is_available", lambda has_cuda=has_cuda: has_cuda)
        # A login node that plans has no say: what it plans stays open until a job loads the weights.
        assert fingerprint(config.activations, config.forward_pass, dataset, planned)["device"] == "auto"
        assert fingerprint(config.activations, config.forward_pass, dataset, loaded)["device"] == device
    on_cpu = config.with_flags(device="cpu").forward_pass
    assert fingerprint(config.activations, on_cpu, dataset, loaded)["device"] == "cpu"


def test_a_tokenizer_larger_than_the_embedding_is_refused_before_the_first_batch(tiny_dataset, tiny_model_dir):
    largest = max(int(tokens.max()) for tokens in tiny_dataset.tokens(np.arange(270)))
    assert tiny_dataset.largest_token == largest
    model = load_model_once(str(tiny_model_dir))
    for n_embeddings, fits in ((largest + 1, True), (largest, False)):
        smaller = replace(model, model=copy.deepcopy(model.model))
        smaller.model.resize_token_embeddings(n_embeddings)
        if fits:
            check_fit(tiny_dataset, smaller)
        else:
            message = f"the token id {largest}, and the embedding of .* has {largest} rows: its tokenizer is larger"
            with pytest.raises(ModelError, match=message):
                check_fit(tiny_dataset, smaller)
