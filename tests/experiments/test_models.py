import json
import shutil
from typing import Any, NamedTuple

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    BertConfig,
    GPT2Config,
    GPTNeoXConfig,
    LlamaConfig,
    OPTConfig,
    PretrainedConfig,
)

from experiments.models import load_model
from probing_datasets.foundation.errors import ModelError
from probing_datasets.model_names import resolve_model_name


class Architecture(NamedTuple):
    """A tiny configuration, and where Hugging Face keeps what the hook points name."""

    config: PretrainedConfig
    block: str
    down: str
    """Second matrix of the MLP: its input is `mlp.hook_post`."""
    out: str
    """Output matrix of the attention: its input is `attn.hook_z`."""
    auto: Any = AutoModelForCausalLM


# Weights far larger than usual, so that activations are of order one and 1e-5 means something.
WIDTHS: dict[str, Any] = {"hidden_size": 16, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2}
SHARED: dict[str, Any] = {"vocab_size": 600, "max_position_embeddings": 64, "initializer_range": 0.3}
GPT2 = GPT2Config(n_embd=16, n_inner=48, n_layer=2, n_head=2, n_positions=64, vocab_size=600, initializer_range=0.3)
OPT = OPTConfig(
    **{k: v for k, v in WIDTHS.items() if k != "intermediate_size"},
    ffn_dim=48,
    word_embed_proj_dim=16,
    init_std=0.3,
    vocab_size=600,
    max_position_embeddings=64,
)
ARCHITECTURES = {
    "gpt2": Architecture(GPT2, "transformer.h.{}", "mlp.c_proj", "attn.c_proj"),
    "gpt_neox": Architecture(
        GPTNeoXConfig(**WIDTHS, **SHARED), "gpt_neox.layers.{}", "mlp.dense_4h_to_h", "attention.dense"
    ),
    "llama": Architecture(LlamaConfig(**WIDTHS, **SHARED), "model.layers.{}", "mlp.down_proj", "self_attn.o_proj"),
    "opt": Architecture(OPT, "model.decoder.layers.{}", "fc2", "self_attn.out_proj"),
    "bert": Architecture(
        BertConfig(**WIDTHS, **SHARED),
        "bert.encoder.layer.{}",
        "output.dense",
        "attention.output.dense",
        AutoModelForMaskedLM,
    ),
}


@pytest.fixture(scope="module")
def saved_models(tiny_model_dir, tmp_path_factory):
    """A random model of every architecture, its tokenizer beside it."""
    root = tmp_path_factory.mktemp("architectures")
    for name, architecture in ARCHITECTURES.items():
        torch.manual_seed(17)
        architecture.auto.from_config(architecture.config).save_pretrained(root / name)
        for file in tiny_model_dir.glob("tokenizer*"):
            shutil.copy(file, root / name)
    return root


@pytest.fixture(params=ARCHITECTURES)
def name(request):
    return request.param


@pytest.fixture
def model(name, saved_models):
    return load_model(str(saved_models / name))


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


def reference(folder, architecture, tokens):
    """The same by plain PyTorch hooks on an untouched Hugging Face model."""
    model = architecture.auto.from_pretrained(folder).eval()
    kept = {}

    def keep(key, values):
        kept[key] = values.view(*tokens.shape, -1)

    for layer in (0, 1):
        block = model.get_submodule(architecture.block.format(layer))
        for module, hook_point in ((architecture.down, "mlp.hook_post"), (architecture.out, "attn.hook_z")):
            block.get_submodule(module).register_forward_pre_hook(
                lambda _module, inputs, key=(hook_point, layer): keep(key, inputs[0])
            )
        block.register_forward_hook(
            lambda _module, _inputs, output, key=("hook_resid_post", layer): keep(
                key, output[0] if isinstance(output, tuple) else output
            )
        )
    with torch.inference_mode():
        model(tokens)
    return kept


def test_hooks_give_what_plain_pytorch_hooks_give(name, model, saved_models):
    tokens = some_tokens((3, 11))
    expected = reference(saved_models / name, ARCHITECTURES[name], tokens)
    found = hooked(model, tokens, torch.ones_like(tokens), ["mlp.hook_post", "attn.hook_z", "hook_resid_post"])
    assert found.keys() == expected.keys()
    for key, values in expected.items():
        assert values.std() > 0.1
        torch.testing.assert_close(found[key], values, atol=1e-5, rtol=1e-5)


def test_control_layers_and_hook_points_differ(model):
    tokens = some_tokens((3, 11))
    found = hooked(model, tokens, torch.ones_like(tokens), ["mlp.hook_post", "mlp.hook_pre"])
    assert (found["mlp.hook_post", 0] - found["mlp.hook_post", 1]).abs().max() > 0.1
    assert (found["mlp.hook_post", 0] - found["mlp.hook_pre", 0]).abs().max() > 0.1


def padded_and_single(model, mask_padding):
    """Largest difference between a padded batch and every sequence run alone."""
    lengths = [3, 9, 6]
    tokens, mask = torch.zeros((3, 9), dtype=torch.long), torch.zeros((3, 9), dtype=torch.long)
    for i, length in enumerate(lengths):
        tokens[i, :length], mask[i, :length] = some_tokens((length,), seed=i), 1
    batch = hooked(model, tokens, mask if mask_padding else torch.ones_like(mask), ["mlp.hook_post"], (1,))
    differences = []
    for i, length in enumerate(lengths):
        alone = tokens[i : i + 1, :length]
        single = hooked(model, alone, torch.ones_like(alone), ["mlp.hook_post"], (1,))
        differences.append((batch["mlp.hook_post", 1][i, :length] - single["mlp.hook_post", 1][0]).abs().max())
    return max(differences)


def test_padding_does_not_reach_the_tokens(model):
    assert padded_and_single(model, mask_padding=True) < 1e-5


def test_control_without_the_mask_it_reaches_a_bidirectional_model(saved_models):
    assert padded_and_single(load_model(str(saved_models / "bert")), mask_padding=False) > 0.1


def test_shape_of_a_model(model):
    assert (model.n_layers, model.context_length, model.device.type) == (2, 64, "cpu")
    assert [model.width(h) for h in ("mlp.hook_post", "hook_resid_post", "attn.hook_z")] == [48, 16, 16]


def test_random_weights_are_drawn_from_the_seed(name, saved_models):
    folder = str(saved_models / name)
    hashes = [load_model(folder, random_init=True, seed=seed).weight_hash for seed in (0, 0, 1)]
    assert hashes[0] == hashes[1] != hashes[2]
    assert load_model(folder).weight_hash == load_model(folder, seed=1).weight_hash not in hashes


def test_the_hash_names_the_weights(saved_models, tmp_path):
    copy = shutil.copytree(saved_models / "gpt_neox", tmp_path / "copy")
    before = load_model(str(saved_models / "gpt_neox"))
    assert load_model(str(copy)).weight_hash == before.weight_hash
    changed = AutoModelForCausalLM.from_pretrained(copy)
    with torch.no_grad():
        changed.get_parameter("gpt_neox.layers.1.mlp.dense_h_to_4h.bias")[3] += 1e-3
    changed.save_pretrained(copy)
    assert load_model(str(copy)).weight_hash != before.weight_hash


def test_half_precision(tiny_model_dir):
    model, exact = load_model(str(tiny_model_dir), dtype="bfloat16"), load_model(str(tiny_model_dir))
    tokens = some_tokens((2, 5))
    found, expected = (hooked(m, tokens, torch.ones_like(tokens), ["mlp.hook_post"]) for m in (model, exact))
    assert found["mlp.hook_post", 0].dtype == torch.bfloat16
    torch.testing.assert_close(found["mlp.hook_post", 1].float(), expected["mlp.hook_post", 1], atol=3e-3, rtol=0.05)


@pytest.fixture(scope="module")
def tiny(tiny_model_dir):
    return load_model(str(tiny_model_dir))


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


def test_a_hook_point_that_a_parallel_block_lacks_is_not_named(tiny):
    with pytest.raises(ModelError) as error:
        tiny.check_hook_point("hook_resid_mid")
    assert "hook_resid_mid" not in str(error.value).split("they have")[1]


def test_a_hook_point_without_one_vector_per_position(tiny):
    tiny.check_hook_point("attn.hook_pattern")
    with pytest.raises(ModelError, match=r"attn.hook_pattern of .* has shape \(1, 2, 1, 1\), not \(batch, position"):
        tiny.width("attn.hook_pattern")


def test_an_alias_is_resolved():
    assert resolve_model_name("pythia-70m") == "EleutherAI/pythia-70m"


@pytest.mark.parametrize("name", ["pythia-70m", "no-such-model-anywhere"])
def test_a_model_that_cannot_be_found_offline(name, monkeypatch, tmp_path):
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(
        ModelError, match=f"'{name}'.*Give `demo`, a local model folder, a TransformerLens alias or a hub"
    ):
        load_model(name)


def test_a_folder_without_weights(tiny_model_dir, tmp_path):
    copy = shutil.copytree(tiny_model_dir, tmp_path / "weightless")
    (copy / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"'.*weightless' .* could not be loaded"):
        load_model(str(copy))


def test_truncated_weights(tiny_model_dir, tmp_path):
    copy = shutil.copytree(tiny_model_dir, tmp_path / "truncated")
    weights = (copy / "model.safetensors").read_bytes()
    (copy / "model.safetensors").write_bytes(weights[: len(weights) // 2])
    with pytest.raises(ModelError, match=r"'.*truncated' .* could not be loaded"):
        load_model(str(copy))


def test_a_device_that_does_not_exist(tiny_model_dir):
    with pytest.raises(ModelError, match="a device that exists"):
        load_model(str(tiny_model_dir), device="cuda:99")


def test_a_folder_without_a_tokenizer(tiny_model_dir, tmp_path):
    copy = shutil.copytree(tiny_model_dir, tmp_path / "mute", ignore=shutil.ignore_patterns("tokenizer*"))
    with pytest.raises(ModelError, match="There is no tokenizer beside the model"):
        load_model(str(copy))


def test_another_configuration_over_the_same_weights_is_another_model(tiny_model_dir, tmp_path):
    copy = tmp_path / "tiny"
    shutil.copytree(tiny_model_dir, copy)
    assert load_model(str(copy)).weight_hash == load_model(str(tiny_model_dir)).weight_hash
    config = json.loads((copy / "config.json").read_text())
    assert config["hidden_act"] == "gelu"
    (copy / "config.json").write_text(json.dumps(config | {"hidden_act": "relu"}))
    assert load_model(str(copy)).weight_hash != load_model(str(tiny_model_dir)).weight_hash
