"""Where models compute hook points: equal to TransformerLens' bridge."""

import math
from dataclasses import replace

import pytest
import torch
from transformer_lens.model_bridge import TransformerBridge
from transformers import AutoTokenizer, BigBirdConfig, MambaConfig, Olmo2Config

from probing_datasets.foundation.errors import ModelError
from sparse_probing.models import hook_points, load_model
from sparse_probing.models.hook_points import HookPoint, find_hook_points
from sparse_probing.models.tensor_trace import TRACE_SHAPE, Sighting, Site, memory
from tests.builders.models import SHARED, WIDTHS

MAIN = ("mlp.hook_post", "mlp.hook_pre", "hook_resid_pre", "hook_resid_post", "hook_attn_out", "hook_mlp_out")


def has_vectors(point):
    return len(point.shape) > 2 and point.shape[:2] == TRACE_SHAPE


def all_under_bridge(plain, tokenizer_dir, tokens):
    """Every activation that TransformerLens' own bridge sees, by name."""
    tokenizer = AutoTokenizer.from_pretrained(tokenizer_dir)
    bridge = TransformerBridge.boot_transformers(
        "any", hf_model=plain, tokenizer=tokenizer, device="cpu", dtype=torch.float32
    ).eval()
    kept = {}
    for name, hook_point in bridge.hook_dict.items():
        hook_point.add_hook(lambda a, hook, name=name: kept.update({name: a.clone()}))
    with torch.inference_mode():
        plain.base_model(tokens, attention_mask=torch.ones_like(tokens))
    return kept


def test_every_site_of_every_architecture_agrees_with_the_bridge(model, plain, tiny_model_dir):
    tokens = torch.randint(1, 600, (3, 7), generator=torch.Generator().manual_seed(3))
    expected, found = all_under_bridge(plain, tiny_model_dir, tokens), {}
    names = [name for name, point in model.hook_points.items() if point.site and has_vectors(point)]
    model.run(tokens, torch.ones_like(tokens), {n: lambda a, n=n: found.update({n: a.clone()}) for n in names})
    assert {f"blocks.{layer}.{hook}" for layer in (0, 1) for hook in MAIN} <= set(names)
    for name in names:
        torch.testing.assert_close(found[name], expected[name].flatten(2), atol=1e-5, rtol=1e-5)


def test_all_that_the_bridge_sees_is_a_hook_point_of_the_right_width(model, plain, tiny_model_dir):
    tokens = torch.ones((3, 7), dtype=torch.long)
    expected = all_under_bridge(plain, tiny_model_dir, tokens)
    assert set(expected) == set(model.hook_points)
    for name, point in model.hook_points.items():
        if has_vectors(point):
            assert math.prod(point.shape[2:]) == math.prod(expected[name].shape[2:])


def test_hook_points_without_a_site_run_under_the_bridge(model, plain, tiny_model_dir):
    tokens = torch.randint(1, 600, (3, 7), generator=torch.Generator().manual_seed(3))
    expected, found = all_under_bridge(plain, tiny_model_dir, tokens), {}
    names = [name for name, point in model.hook_points.items() if not point.site and has_vectors(point)]
    model.run(tokens, torch.ones_like(tokens), {n: lambda a, n=n: found.update({n: a.clone()}) for n in names})
    assert names
    for name in names:
        torch.testing.assert_close(found[name], expected[name].flatten(2), atol=1e-5, rtol=1e-5)


def test_changing_a_tensor_in_place_makes_it_another_activation():
    tensor = torch.arange(6.0).view(1, 2, 3)
    before = memory(Sighting(0, "a", tensor, tensor._version))
    assert memory(Sighting(1, "b", tensor.view(1, 2, 3, 1), tensor._version)) == before
    tensor.relu_()
    assert memory(Sighting(2, "c", tensor, tensor._version)) != before
    assert memory(Sighting(3, "d", tensor.transpose(1, 2), tensor._version)) != before


def test_a_model_without_attention():
    config = MambaConfig(hidden_size=16, num_hidden_layers=2, vocab_size=600, architectures=["MambaForCausalLM"])
    points = find_hook_points(config)
    assert points["blocks.1.hook_resid_post"].shape == (*TRACE_SHAPE, 16)
    assert "blocks.1.mlp.hook_post" not in points


def test_an_architecture_that_transformer_lens_does_not_know():
    config = BigBirdConfig(is_decoder=True, num_hidden_layers=1, hidden_size=16, num_attention_heads=2, vocab_size=600)
    with pytest.raises(ModelError, match="TransformerLens cannot bridge a BigBirdForCausalLM"):
        find_hook_points(config)


@pytest.fixture
def untraceable(tiny, tiny_model_dir, monkeypatch):
    """A model whose twin without numbers cannot run, as if it compared the values of tensors."""
    assert tiny.hook_points  # other tests use this model too: traced before the trace is replaced

    def depends_on_values(*_):
        raise RuntimeError("aten.equal.default\nmore lines")

    monkeypatch.setattr(hook_points, "_trace_twins", depends_on_values)
    return load_model(str(tiny_model_dir))


def test_a_model_that_cannot_be_traced_runs_under_the_bridge(untraceable, tiny, tiny_model_dir, caplog):
    assert not any(point.site for point in untraceable.hook_points.values())
    assert "GPTNeoXConfig runs under TransformerLens' bridge, which is slower: aten.equal.default" in caplog.text
    assert {n: p.shape for n, p in untraceable.hook_points.items()} == {n: p.shape for n, p in tiny.hook_points.items()}
    assert untraceable.widths(["mlp.hook_post", "attn.hook_z"]) == {"mlp.hook_post": 48, "attn.hook_z": 16}
    expected, found = [], []
    tokens = torch.ones((2, 5), dtype=torch.long)
    for model, kept in ((tiny, expected), (untraceable, found)):
        model.run(tokens, torch.ones_like(tokens), {"blocks.1.mlp.hook_post": kept.append})
    torch.testing.assert_close(found[0], expected[0], atol=1e-5, rtol=1e-5)
    without_weights = load_model(str(tiny_model_dir), weights=False)
    with pytest.raises(ModelError, match="cannot be found without weights.* Run without --dry_run"):
        without_weights.width("mlp.hook_post")


def test_an_architecture_that_mixes_precisions_is_traced_in_float32():
    config = Olmo2Config(architectures=["Olmo2ForCausalLM"], **WIDTHS, **SHARED)
    points = find_hook_points(config)
    assert points["blocks.1.mlp.hook_post"].site == Site("model.layers.1.mlp.down_proj", "input", 0)


def test_a_hook_point_that_a_forward_pass_does_not_reach(tiny):
    token, model = torch.ones((1, 1), dtype=torch.long), replace(tiny, name="tiny")
    head = tiny.model.get_output_embeddings()
    (name,) = [name for name, module in tiny.model.named_modules() if module is head]
    never_called = HookPoint((*TRACE_SHAPE, 600), Site(name, "output", None))
    vars(model)["hook_points"] = tiny.hook_points | {"unembed.hook_out": never_called}
    with pytest.raises(ModelError, match="A forward pass of tiny does not reach unembed.hook_out"):
        model.run(token, token, {"unembed.hook_out": print})
