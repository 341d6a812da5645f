"""Submodule names beside hook points: the activations of plain PyTorch hooks, one name per tensor, and refusals."""

from dataclasses import replace

import pytest
import torch
from transformers import AutoModelForCausalLM, BigBirdConfig

from probing_datasets.foundation.errors import ModelError
from sparse_probing.models import find_activation, load_model, wrap_model
from sparse_probing.models.submodules import submodule_point, trace_submodules, trace_twin
from tests.builders.models import MIXTURES

NAMES = {
    "gpt2": {
        "transformer.h.1.mlp": "hook_mlp_out",
        "transformer.h.1.attn.output": "hook_attn_out",
        "transformer.h.1": "hook_resid_post",
        "transformer.h.1.input": "hook_resid_pre",
        "transformer.h.1.mlp.act": "mlp.hook_post",
        "transformer.h.1.attn.c_attn": None,
    },
    "llama": {
        "model.layers.1.mlp": "hook_mlp_out",
        "model.layers.1.self_attn": "hook_attn_out",
        "model.layers.1": "hook_resid_post",
        "model.layers.1.mlp.down_proj.input": "mlp.hook_post",
        "model.layers.1.self_attn.input": None,
        "model.layers.1.mlp.up_proj": None,
    },
    "gpt_neox": {
        "gpt_neox.layers.1.mlp": "hook_mlp_out",
        "gpt_neox.layers.1.attention": "hook_attn_out",
        "gpt_neox.layers.1": "hook_resid_post",
        "gpt_neox.layers.1.mlp.act": "mlp.hook_post",
    },
    "bert": {"bert.encoder.layer.1.output": "hook_resid_post", "bert.encoder.layer.1.intermediate": "mlp.hook_post"},
}
"""Submodules, and the hook point of block 1 that is the same tensor (where the name is not another hook point's)."""


def some_tokens(shape=(3, 7)):
    return torch.randint(1, 600, shape, generator=torch.Generator().manual_seed(0))


def plain_output(plain, name, tokens, **inputs):
    """The first tensor at a submodule, by a hand-written hook on an untouched Hugging Face model."""
    kept = []
    path = name.removesuffix(".input")
    if path != name:
        take = lambda _m, values, keywords: kept.append([*values, *keywords.values()][0])  # noqa: E731, RUF015
        plain.get_submodule(path).register_forward_pre_hook(take, with_kwargs=True)
    else:
        path = path.removesuffix(".output") if path not in dict(plain.named_modules()) else path
        take = lambda _m, _i, value: kept.append(value[0] if isinstance(value, tuple) else value)  # noqa: E731
        plain.get_submodule(path).register_forward_hook(take)
    with torch.inference_mode():
        plain(tokens, **inputs)
    return kept[0]


@pytest.mark.parametrize("name", NAMES, indirect=True)
def test_a_submodule_gives_the_tensor_of_a_plain_hook_and_knows_its_hook_point(model, plain, name):
    tokens = some_tokens()
    mask = torch.ones_like(tokens)
    for submodule, hook_point in NAMES[name].items():
        place = find_activation(model, submodule)
        kept = {}
        model.run(tokens, mask, {submodule: lambda a: kept.update(found=a.clone())})  # noqa: B023
        expected = plain_output(plain, submodule, tokens, attention_mask=mask)
        torch.testing.assert_close(kept["found"], expected, atol=1e-5, rtol=1e-5)
        assert kept["found"].std() > 0.1
        assert (place.layer, place.width) == (1, expected.shape[-1])
        if hook_point is not None:
            same = find_activation(model, f"blocks.1.{hook_point}")
            assert f"blocks.1.{hook_point}" in place.hook_points
            assert (place.tensor, place.hook_points) == (same.tensor, same.hook_points)
            assert (same.layer, same.hook_point) == (1, hook_point)


@pytest.mark.parametrize("name", ["gpt2", "gemma2"], indirect=True)
def test_other_tensors_are_other_places(model, architecture):
    """Control: of the hook points of a block, only those with the same numbers share a place."""
    tokens, kept = some_tokens(), {}
    names = [f"blocks.{layer}.{point}" for layer in (0, 1) for point in architecture.places]
    hooks = {name: lambda a, name=name: kept.update({name: a.clone()}) for name in names}
    model.run(tokens, torch.ones_like(tokens), hooks)
    places = {name: find_activation(model, name) for name in names}
    for first in names:
        for second in names:
            is_same = kept[first].shape == kept[second].shape and torch.equal(kept[first], kept[second])
            assert (places[first].tensor == places[second].tensor) == is_same, (first, second)
    assert places["blocks.0.hook_resid_post"].tensor == places["blocks.1.hook_resid_pre"].tensor


def test_two_spellings_are_one_place(saved_models, load_once):
    model = load_once(str(saved_models / "gpt2"))
    assert find_activation(model, "transformer.h.0.mlp.output") == find_activation(model, "transformer.h.0.mlp")
    assert find_activation(model, "transformer.h.0.mlp.input") != find_activation(model, "transformer.h.0.mlp")
    # A submodule whose own name is `output`: its path, and its output by the suffix.
    bert = load_once(str(saved_models / "bert"))
    assert find_activation(bert, "bert.encoder.layer.0.output.output").name == "bert.encoder.layer.0.output"
    assert find_activation(bert, "bert.embeddings").layer is None


def test_submodules_and_hook_points_run_together_and_the_pass_stops_behind_the_last(saved_models, load_once):
    model, tokens, order = load_once(str(saved_models / "gpt2")), some_tokens(), []
    ran = []
    handles = [m.register_forward_hook(lambda *_, n=n: ran.append(n)) for n, m in model.model.named_modules()]
    hooks = {n: lambda _, n=n: order.append(n) for n in ("transformer.h.0.attn.output", "blocks.0.mlp.hook_post")}
    model.run(tokens, torch.ones_like(tokens), hooks)
    for handle in handles:
        handle.remove()
    assert order == ["transformer.h.0.attn.output", "blocks.0.mlp.hook_post"]
    assert not [name for name in ran if ".h.1" in name or name == "transformer.h.0.mlp.c_proj"]


def test_the_router_of_a_mixture_has_one_vector_per_position(tiny):
    config = MIXTURES["mixtral"][0]
    torch.manual_seed(3)
    hugging_face = AutoModelForCausalLM.from_config(config).eval()
    model = wrap_model(hugging_face, tiny.tokenizer, "mixtral")
    tokens, kept = some_tokens(), []
    model.run(tokens, torch.ones_like(tokens), {"model.layers.1.mlp.gate": lambda a: kept.append(a.clone())})
    expected = plain_output(hugging_face, "model.layers.1.mlp.gate", tokens)
    assert find_activation(model, "model.layers.1.mlp.gate").width == 4
    torch.testing.assert_close(kept[0], expected.reshape(3, 7, 4))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("transformer.h.7.mlp", r"gpt2 has no hook point 'transformer.h.7.mlp', and no submodule of this name. "
         r"Names near to it: transformer.h.[01].mlp, "),
        ("transformer.h.mlp.output", r"no submodule of this name. Names near to it: transformer.h.[01].mlp"),
        ("blocks.7.mlp.hook_post", r"gpt2 has no hook point 'blocks.7.mlp.hook_post'.* near to it: blocks.[01].mlp"),
        ("", "has no hook point ''"),
        (".output", "has no hook point '.output'"),
        ("transformer.h", "does not reach 'transformer.h': .* a list of modules one by one. Choose another submodule"),
        ("lm_head", "does not reach 'lm_head': it ends before the unembedding"),
        ("transformer.output", "The output of 'transformer' of gpt2 is not a tensor"),
        ("transformer.wte.input", "The input of 'transformer.wte' of gpt2 holds whole numbers, not activations"),
        ("transformer.wpe", r"'transformer.wpe' of gpt2 has shape \(1, 11, 16\) for 2 sequences of 11 tokens"),
    ],
)  # fmt: skip
def test_what_cannot_be_probed_is_refused_with_names_near_to_it(name, message, saved_models, load_once):
    model, tokens = replace(load_once(str(saved_models / "gpt2")), name="gpt2"), some_tokens((1, 4))
    with pytest.raises(ModelError, match=message):
        find_activation(model, name)
    with pytest.raises(ModelError, match=message):
        model.run(tokens, torch.ones_like(tokens), {name: print})


def test_a_module_that_runs_twice_is_refused(tiny):
    class Twice(torch.nn.Module):
        def __init__(self, inner):
            super().__init__()
            self.inner = inner

        def forward(self, x):
            return self.inner(self.inner(x))

    hugging_face = AutoModelForCausalLM.from_config(tiny.model.config).eval()
    activation = hugging_face.base_model.layers[0].mlp
    activation.act = Twice(activation.act)
    with pytest.raises(ModelError, match=r"mlp.act.inner' of tiny runs 2 times in a forward pass"):
        submodule_point(trace_submodules(hugging_face), "gpt_neox.layers.0.mlp.act.inner", "tiny")


def test_submodules_beside_a_hook_point_that_only_the_bridge_computes_are_refused(tiny):
    tokens = some_tokens((1, 4))
    hooks = {"blocks.0.ln1.hook_scale": print, "gpt_neox.layers.0.mlp": print}
    assert tiny.hook_points["blocks.0.ln1.hook_scale"].site is None
    with pytest.raises(ModelError, match="exists only under TransformerLens' bridge, which replaces submodules such"):
        tiny.run(tokens, torch.ones_like(tokens), hooks)


def test_an_architecture_that_transformer_lens_does_not_know_has_submodules(tiny):
    config = BigBirdConfig(
        is_decoder=True, num_hidden_layers=1, hidden_size=16, intermediate_size=48, num_attention_heads=2,
        vocab_size=600, attention_type="original_full", architectures=["BigBirdForCausalLM"],
    )  # fmt: skip
    model = wrap_model(AutoModelForCausalLM.from_config(config).eval(), tiny.tokenizer, "bigbird")
    place = find_activation(model, "bert.encoder.layer.0.intermediate")
    assert (place.layer, place.width, place.hook_points) == (0, 48, ())
    tokens, kept = some_tokens(), []
    model.run(tokens, torch.ones_like(tokens), {place.name: lambda a: kept.append(a.shape)})
    assert kept == [(3, 7, 48)]


def test_a_model_that_cannot_be_traced_without_numbers_is_traced_with_them(tiny_model_dir, monkeypatch):
    expected = find_activation(load_model(str(tiny_model_dir)), "gpt_neox.layers.1.mlp")
    monkeypatch.setattr("sparse_probing.models.language_model.trace_twin", lambda *_: None)
    assert find_activation(load_model(str(tiny_model_dir)), "gpt_neox.layers.1.mlp") == expected
    with pytest.raises(ModelError, match="cannot be examined without weights.* Run without --dry_run"):
        find_activation(load_model(str(tiny_model_dir), weights=False), "gpt_neox.layers.1.mlp")


def test_without_weights_the_places_are_the_same(tiny, tiny_model_dir):
    without = load_model(str(tiny_model_dir), weights=False)
    for name in ("gpt_neox.layers.1.mlp", "blocks.0.mlp.hook_post", "gpt_neox.layers.0.input"):
        assert find_activation(without, name) == find_activation(tiny, name)


def test_a_twin_that_cannot_run_is_reported_as_such(tiny, monkeypatch):
    def depends_on_values(*_):
        raise RuntimeError("aten.equal.default")

    monkeypatch.setattr("sparse_probing.models.submodules.trace_submodules", depends_on_values)
    assert trace_twin(tiny.model.config, False) is None
