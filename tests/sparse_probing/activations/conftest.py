"""What the tests of a harvest share: small parts, models that are loaded once, a reference by plain hooks."""

import functools

import pytest
import torch
from transformers import AutoModelForCausalLM

from probing_datasets.feature_dataset import load_feature_dataset
from sparse_probing.activations.harvesting import harvest_plan as planning

PART_ROWS = 100
LOAD_ONCE = functools.cache(planning.load_model)


@pytest.fixture
def small_parts(monkeypatch):
    """Cut every store into parts of 100 rows, and load a model once for all tests."""
    monkeypatch.setattr(planning, "load_model", LOAD_ONCE)
    monkeypatch.setattr(planning, "choose_part_rows", lambda n_rows, row_bytes: min(n_rows, PART_ROWS))


@pytest.fixture(scope="session")
def reference(tiny_model_dir, tiny_dataset_root):
    """By layer and sequence (length, 48) float32: plain hooks on the model, one sequence at a time, no padding."""
    model = AutoModelForCausalLM.from_pretrained(tiny_model_dir).eval()
    kept = {0: [], 1: []}

    def keep(activations, _module, _inputs, output):
        activations.append(output[0].numpy())

    for layer, activations in kept.items():
        act = model.get_submodule(f"gpt_neox.layers.{layer}.mlp.act")
        act.register_forward_hook(functools.partial(keep, activations))
    with torch.inference_mode():
        for tokens in load_feature_dataset("natural_lang_id.tiny.64.-1", tiny_dataset_root).sequences["tokens"]:
            model(torch.tensor([tokens]))
    return kept
