"""Hook points whose activation is not what their name says are refused; those that remain are checked by a trace."""

import pytest
import torch
from transformers import AutoModelForCausalLM
from transformers.pytorch_utils import Conv1D

from probing_datasets.foundation.errors import ModelError
from sparse_probing.models import load_model, wrap_model
from sparse_probing.models.misnomers import find_misnomers
from sparse_probing.models.tensor_trace import Sighting, Site, forward_options
from tests.builders.models import MIXTURES

NEURON_HOOKS = ("mlp.hook_post", "mlp.hook_pre")


@pytest.fixture(params=MIXTURES)
def mixture(request, tiny):
    """A tiny mixture of experts, and its layers whose MLP is dense."""
    config, dense = MIXTURES[request.param]
    config.architectures = None
    torch.manual_seed(3)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()
    return wrap_model(model, tiny.tokenizer, request.param), dense


def some_tokens():
    return torch.randint(1, 600, (3, 7), generator=torch.Generator().manual_seed(3))


def inputs_of_linear_maps(model, tokens):
    """The tensors that every linear map takes and returns, by its number of inputs and outputs."""
    taken = []

    def before(module, inputs, output):
        output = output[0] if isinstance(output, tuple) else output  # of a router
        n_out = module.nf if isinstance(module, Conv1D) else module.out_features
        taken.append((inputs[0].clone(), n_out, output.clone()))

    linear = [m for m in model.modules() if isinstance(m, torch.nn.Linear | Conv1D)]
    handles = [m.register_forward_hook(before) for m in linear]
    with torch.inference_mode():
        model.base_model(tokens, attention_mask=torch.ones_like(tokens), **forward_options(model))
    for handle in handles:
        handle.remove()
    return taken


def hooked(model, tokens, name):
    kept = []
    model.run(tokens, torch.ones_like(tokens), {name: lambda a: kept.append(a.clone())})
    return kept[0]


def is_input_of_a_map_to_the_residual_stream(value, taken, width):
    return any(
        n_out == width
        and given.numel() == value.numel()
        and torch.allclose(given.reshape(value.shape), value, atol=1e-6)
        for given, n_out, _ in taken
    )


def test_neurons_are_the_input_of_the_last_linear_map(model):
    tokens = some_tokens()
    taken = inputs_of_linear_maps(model.model, tokens)
    for layer in range(2):
        for hook in ("mlp.hook_post", "attn.hook_z"):
            value = hooked(model, tokens, f"blocks.{layer}.{hook}")
            assert is_input_of_a_map_to_the_residual_stream(value, taken, 16)
        pre = hooked(model, tokens, f"blocks.{layer}.mlp.hook_pre")
        assert any(
            out.numel() == pre.numel() and torch.allclose(out.reshape(pre.shape), pre, atol=1e-6) for _, _, out in taken
        )
    assert not any(point.misnomer for point in model.hook_points.values())


def test_the_neurons_of_experts_are_refused(mixture):
    model, dense = mixture
    tokens = some_tokens()
    ran = []
    model.model.register_forward_pre_hook(lambda *_: ran.append(1))
    model.model.base_model.register_forward_pre_hook(lambda *_: ran.append(1))
    for layer in set(range(2)) - set(dense):
        for hook in NEURON_HOOKS:
            with pytest.raises(ModelError, match=f"{hook} of .* is not what its name says in 1 of 1 layers") as error:
                model.widths([hook], [layer])
            assert "the output of the whole MLP there, equal to hook_mlp_out" in str(error.value)
            assert "Use hook_mlp_out, hook_attn_out or hook_resid_post" in str(error.value)
            with pytest.raises(ModelError, match="is not what its name says"):
                model.run(tokens, torch.ones_like(tokens), {f"blocks.{layer}.{hook}": print})
    assert not ran
    assert model.widths(["hook_mlp_out", "hook_resid_post"], [0, 1]) == {"hook_mlp_out": 16, "hook_resid_post": 16}
    before, after, added = (
        hooked(model, tokens, f"blocks.0.{hook}") for hook in ("hook_resid_mid", "hook_resid_post", "hook_mlp_out")
    )
    torch.testing.assert_close(after - before, added, atol=1e-5, rtol=1e-5)


def test_the_dense_layers_of_a_mixture_have_neurons(mixture):
    model, dense = mixture
    tokens = some_tokens()
    taken = inputs_of_linear_maps(model.model, tokens)
    for layer in dense:
        assert model.widths(NEURON_HOOKS, [layer]) == dict.fromkeys(NEURON_HOOKS, 48)
        assert is_input_of_a_map_to_the_residual_stream(
            hooked(model, tokens, f"blocks.{layer}.mlp.hook_post"), taken, 16
        )
        with pytest.raises(ModelError, match=rf"in 1 of 2 layers .* other layers with --layers, among {layer}\."):
            model.check_hook_point("mlp.hook_post", [0, 1])


def test_a_mixture_without_weights_is_refused_too(tiny_model_dir, tmp_path):
    config, _ = MIXTURES["mixtral"]
    config.architectures = ["MixtralForCausalLM"]
    config.save_pretrained(tmp_path)
    for file in tiny_model_dir.glob("tokenizer*"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    with pytest.raises(ModelError, match=r"mlp.hook_post of .* is not what its name says in 2 of 2 layers"):
        load_model(str(tmp_path), weights=False).widths(["mlp.hook_post"], [0, 1])


def sighting(order, place, tensor):
    return Sighting(order, place, tensor, tensor._version)


def a_block(post, pre, stream, down):
    """A trace of one block whose linear map `down` takes `post`."""
    return [
        sighting(0, "blocks.0.hook_resid_pre", stream),
        sighting(1, "blocks.0.mlp.hook_pre", pre),
        sighting(2, "blocks.0.mlp.hook_post", post),
        sighting(3, Site("down", "input", 0), post),
        sighting(4, "blocks.0.hook_mlp_out", down(post)),
    ]


def test_the_rules():
    down, up = torch.nn.Linear(48, 16), torch.nn.Linear(16, 48)
    stream, pre, post = torch.ones(2, 3, 16), torch.ones(2, 3, 48), torch.ones(2, 3, 48)
    maps = {"down": down, "up": up}
    trace = a_block(post, pre, stream, down)
    assert find_misnomers(trace, maps) == {}
    # The input of the first linear map has the name of the neurons.
    swapped = [s for s in trace if s.place != Site("down", "input", 0)] + [sighting(5, Site("up", "input", 0), post)]
    assert "not the input of the last linear map" in find_misnomers(swapped, maps)["blocks.0.mlp.hook_post"]
    assert set(find_misnomers(swapped, maps)) == {"blocks.0.mlp.hook_post", "blocks.0.mlp.hook_pre"}
    narrow = [replace_tensor(s, torch.ones(2, 3, 24)) if s.place == "blocks.0.mlp.hook_pre" else s for s in trace]
    assert find_misnomers(narrow, maps) == {"blocks.0.mlp.hook_pre": "its width is 24, and that of mlp.hook_post is 48"}
    routed = [*trace, sighting(6, Site("down", "input", 0), pre)]
    assert find_misnomers(routed, maps) == {
        "blocks.0.mlp.hook_pre": "it is the input of a linear map, not of the activation function"
    }
    heads = [*trace, sighting(7, "blocks.0.attn.hook_z", torch.ones(2, 3, 2, 8))]
    assert find_misnomers(heads, maps) == {
        "blocks.0.attn.hook_z": "it is not the input of the linear map after the heads"
    }


def replace_tensor(seen, tensor):
    return seen._replace(tensor=tensor)
