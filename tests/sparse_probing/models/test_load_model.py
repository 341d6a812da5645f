"""Loading models by name, and taking models in memory."""

import copy
import json
import shutil

import pytest
import torch
from transformers import AutoModelForCausalLM, GPTNeoXConfig

from probing_datasets.foundation.errors import ModelError
from probing_datasets.model_names import resolve_model_name
from sparse_probing.models import load_model, resolved_device, wrap_model
from sparse_probing.models.hook_points import build_bridge


def activations(model):
    tokens, kept = torch.arange(1, 13).view(2, 6), []
    model.run(tokens, torch.ones_like(tokens), {"blocks.1.mlp.hook_post": lambda a: kept.append(a.clone())})
    return kept[0]


def test_random_weights_are_drawn_from_the_seed(name, saved_models):
    folder = str(saved_models / name)
    hashes = [load_model(folder, random_init=True, seed=seed).weight_hash for seed in (0, 0, 1)]
    assert hashes[0] == hashes[1] != hashes[2]
    assert load_model(folder).weight_hash == load_model(folder, seed=1).weight_hash not in hashes


def test_the_hash_names_the_weights(saved_models, tmp_path):
    folder = shutil.copytree(saved_models / "gpt_neox", tmp_path / "copy")
    before = load_model(str(saved_models / "gpt_neox"))
    assert load_model(str(folder)).weight_hash == before.weight_hash
    changed = AutoModelForCausalLM.from_pretrained(folder)
    with torch.no_grad():
        changed.get_parameter("gpt_neox.layers.1.mlp.dense_h_to_4h.bias")[3] += 1e-3
    changed.save_pretrained(folder)
    assert load_model(str(folder)).weight_hash != before.weight_hash


def test_the_hash_of_the_bundled_model_does_not_change():
    assert load_model("demo").weight_hash == "bdd7d1155ba3ef73eb8704ad51d5f55c"


def test_another_configuration_over_the_same_weights_is_another_model(tiny_model_dir, tmp_path):
    folder = tmp_path / "tiny"
    shutil.copytree(tiny_model_dir, folder)
    assert load_model(str(folder)).weight_hash == load_model(str(tiny_model_dir)).weight_hash
    config = json.loads((folder / "config.json").read_text())
    assert config["hidden_act"] == "gelu"
    (folder / "config.json").write_text(json.dumps(config | {"hidden_act": "relu"}))
    assert load_model(str(folder)).weight_hash != load_model(str(tiny_model_dir)).weight_hash


@pytest.fixture(scope="module")
def config_of_pythia_7b(tiny_model_dir, tmp_path_factory):
    """A folder with the configuration and a tokenizer, and no weights."""
    folder = tmp_path_factory.mktemp("pythia-6.9b")
    GPTNeoXConfig(
        architectures=["GPTNeoXForCausalLM"],
        hidden_size=4096,
        intermediate_size=16_384,
        num_hidden_layers=32,
        num_attention_heads=32,
        vocab_size=50_432,
        max_position_embeddings=2048,
    ).save_pretrained(folder)
    for file in tiny_model_dir.glob("tokenizer*"):
        shutil.copy(file, folder)
    return str(folder)


def resident_bytes():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096


def test_a_large_model_is_described_without_its_weights(config_of_pythia_7b):
    before = resident_bytes()
    model = load_model(config_of_pythia_7b, weights=False)
    assert (model.n_layers, model.context_length, model.weight_hash) == (32, 2048, "")
    model.check_hook_point("hook_attn_out", model.check_layers([]))
    widths = model.widths(["mlp.hook_post", "hook_resid_post"], range(32))
    assert widths == {"mlp.hook_post": 16_384, "hook_resid_post": 4096}
    assert {tensor.device.type for tensor in model.model.parameters()} == {"meta"}  # nothing is allocated or drawn
    assert resident_bytes() - before < 2**29  # the weights would take 27 GB


def test_a_model_without_weights_does_not_run(config_of_pythia_7b):
    model = load_model(config_of_pythia_7b, weights=False)
    token = torch.ones((1, 1), dtype=torch.long)
    with pytest.raises(ModelError, match="was loaded without weights and cannot run"):
        model.run(token, token, {})


@pytest.mark.parametrize("last_layer", ["cpu", "disk"])
def test_a_device_map(last_layer, saved_models, load_once):
    folder = str(saved_models / "gpt_neox")
    whole = load_once(folder)
    parts = [n for n, _ in whole.model.gpt_neox.named_children() if n != "layers"] + ["layers.0"]
    device_map = {f"gpt_neox.{n}": "cpu" for n in parts} | {"gpt_neox.layers.1": last_layer, "lm_head": "cpu"}
    model = load_model(folder, device_map=device_map)
    assert (model.device.type, model.weight_hash) == ("cpu", whole.weight_hash)
    torch.testing.assert_close(activations(model), activations(whole), atol=1e-6, rtol=1e-6)


@pytest.mark.skipif(torch.cuda.is_available(), reason="quantisation may work here")
@pytest.mark.parametrize("quantization", ["8bit", "4bit"])
def test_quantisation_names_its_requirements(tiny_model_dir, quantization):
    with pytest.raises(ModelError, match=f"{quantization}: there is no .* Install bitsandbytes and run on a CUDA"):
        load_model(str(tiny_model_dir), quantization=quantization)


def test_random_weights_are_not_spread(tiny_model_dir):
    with pytest.raises(ModelError, match="Random weights can be neither quantised nor spread"):
        load_model(str(tiny_model_dir), random_init=True, device_map="auto")


def test_an_alias_is_resolved():
    assert resolve_model_name("pythia-70m") == "EleutherAI/pythia-70m"


@pytest.mark.parametrize("name", ["pythia-70m", "no-such-model-anywhere"])
def test_a_model_that_cannot_be_found_offline(name, monkeypatch, tmp_path):
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(
        ModelError, match=f"'{name}'.*(Give|Pass) `demo`, a local model folder, a TransformerLens alias or a hub"
    ):
        load_model(name)


def test_a_folder_without_weights(tiny_model_dir, tmp_path):
    folder = shutil.copytree(tiny_model_dir, tmp_path / "weightless")
    (folder / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"'.*weightless' .* could not be loaded"):
        load_model(str(folder))


def test_truncated_weights(tiny_model_dir, tmp_path):
    folder = shutil.copytree(tiny_model_dir, tmp_path / "truncated")
    weights = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(weights[: len(weights) // 2])
    with pytest.raises(ModelError, match=r"'.*truncated' .* could not be loaded"):
        load_model(str(folder))


def test_a_device_that_does_not_exist(tiny_model_dir):
    with pytest.raises(ModelError, match="pass a device that exists"):
        load_model(str(tiny_model_dir), device="cuda:99")


def test_a_folder_without_a_tokenizer(tiny_model_dir, tmp_path):
    folder = shutil.copytree(tiny_model_dir, tmp_path / "mute", ignore=shutil.ignore_patterns("tokenizer*"))
    with pytest.raises(ModelError, match="has no tokenizer. Save one in this folder"):
        load_model(str(folder))


def test_a_model_in_memory_equals_the_one_of_its_name(name, model, plain, saved_models):
    for given in (plain, build_bridge(copy.deepcopy(plain))):
        wrapped = wrap_model(given)
        assert wrapped.name == str(saved_models / name)
        assert (wrapped.weight_hash, wrapped.context_length) == (model.weight_hash, model.context_length)
        assert wrapped.model.config._attn_implementation == model.model.config._attn_implementation
        assert activations(wrapped).equal(activations(model))


def test_the_weights_of_a_model_in_memory_are_not_copied(tiny_model_dir):
    plain = AutoModelForCausalLM.from_pretrained(tiny_model_dir)
    assert wrap_model(plain).model is plain
    memory = {tensor.data_ptr() for tensor in plain.parameters()}
    under_bridge = wrap_model(build_bridge(plain)).model
    assert {tensor.data_ptr() for tensor in under_bridge.parameters()} == memory


def test_a_wrapped_language_model_is_itself_or_has_another_name(tiny):
    assert wrap_model(tiny) is tiny
    assert wrap_model(tiny, name="other").name == "other"
    assert wrap_model(tiny, name="other").model is tiny.model


@pytest.mark.parametrize(("has_cuda", "device"), [(False, "cpu"), (True, "cuda")])
def test_auto_is_cuda_where_this_process_has_it(has_cuda, device, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: has_cuda)
    assert resolved_device("auto") == device
    for name in ("cpu", "cuda:1", "mps"):
        assert resolved_device(name) == name


def test_a_model_is_loaded_onto_the_device_that_auto_means(tiny_model_dir, monkeypatch):
    assert load_model(str(tiny_model_dir)).device.type == ("cuda" if torch.cuda.is_available() else "cpu")
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    if not torch.cuda.device_count():  # it is tried, and its error is reported
        with pytest.raises(ModelError, match="a device that exists"):
            load_model(str(tiny_model_dir))
