"""Models that need care or cannot be probed: positions that do not count from 0, encoder-decoders, unknown kinds."""

import shutil

import pytest
import torch
from transformers import (
    AutoModelForMaskedLM,
    AutoModelForSeq2SeqLM,
    BartConfig,
    ModernBertConfig,
    RobertaConfig,
    T5Config,
    ViTConfig,
)

from probing_datasets.building.tokenization import load_tokenizer
from probing_datasets.foundation.errors import ModelError
from sparse_probing.models import load_model, wrap_model
from tests.builders.models import SHARED, WIDTHS

T5 = T5Config(d_model=16, d_ff=48, num_layers=2, num_heads=2, d_kv=8, vocab_size=600)
BART = BartConfig(
    d_model=16,
    encoder_layers=2,
    decoder_layers=2,
    encoder_ffn_dim=48,
    decoder_ffn_dim=48,
    encoder_attention_heads=2,
    decoder_attention_heads=2,
    vocab_size=600,
    max_position_embeddings=64,
)


def folder_of(config, architecture, tokenizer_dir, folder):
    """Save a configuration and a tokenizer, without weights."""
    config.architectures = [architecture]
    config.save_pretrained(folder)
    for file in tokenizer_dir.glob("tokenizer*"):
        shutil.copy(file, folder)
    return str(folder)


@pytest.fixture(scope="module", params=[1, 0, 7])
def roberta(request, tiny_model_dir, tmp_path_factory):
    """A RoBERTa with 64 + pad + 1 position embeddings, and the same weights as Hugging Face loads them."""
    pad = request.param
    config = RobertaConfig(
        **WIDTHS, **(SHARED | {"max_position_embeddings": 64 + pad + 1}), pad_token_id=pad, type_vocab_size=1
    )
    folder = tmp_path_factory.mktemp("roberta")
    torch.manual_seed(3)
    AutoModelForMaskedLM.from_config(config).save_pretrained(folder)
    return load_model(folder_of(config, "RobertaForMaskedLM", tiny_model_dir, folder)), folder


def post(model, tokens, mask):
    kept = []
    model.run(tokens, mask, {"blocks.1.mlp.hook_post": lambda a: kept.append(a.clone())})
    return kept[0]


def test_roberta_takes_its_whole_length(roberta):
    model, folder = roberta
    assert model.context_length == 64
    assert load_model(str(folder), weights=False).context_length == 64
    tokens = torch.randint(8, 600, (2, 64))
    expected = []
    plain = AutoModelForMaskedLM.from_pretrained(folder).eval()
    plain.roberta.encoder.layer[1].output.dense.register_forward_pre_hook(lambda _m, given: expected.append(given[0]))
    with torch.inference_mode():
        plain(tokens)
    torch.testing.assert_close(post(model, tokens, torch.ones_like(tokens)), expected[0], atol=1e-5, rtol=1e-5)


def test_roberta_with_padding_on_the_left(roberta):
    model, _ = roberta
    tokens = torch.randint(8, 600, (1, 20))
    padded = torch.cat([torch.full((1, 5), model.model.config.pad_token_id), tokens], 1)
    mask = torch.cat([torch.zeros(1, 5, dtype=torch.long), torch.ones_like(tokens)], 1)
    whole = post(model, tokens, torch.ones_like(tokens))
    torch.testing.assert_close(post(model, padded, mask)[:, 5:], whole, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("config", [T5, BART], ids=["t5", "bart"])
@pytest.mark.parametrize("weights", [True, False])
def test_an_encoder_with_a_decoder_is_refused(config, weights, tiny_model_dir, tmp_path):
    torch.manual_seed(0)
    model = AutoModelForSeq2SeqLM.from_config(config)
    model.save_pretrained(tmp_path)
    folder = folder_of(config, type(model).__name__, tiny_model_dir, tmp_path)
    message = rf"a model of type {config.model_type}, an encoder and a decoder, .* Choose a decoder"
    with pytest.raises(ModelError, match=message) as error:
        load_model(folder, weights=weights)
    assert "local model folder" not in str(error.value)
    with pytest.raises(ModelError, match=message):
        assert wrap_model(model, load_tokenizer(folder), "in memory").hook_points


def test_a_model_that_is_not_of_text_is_refused(tiny_model_dir, tmp_path):
    folder = folder_of(ViTConfig(hidden_size=16), "ViTModel", tiny_model_dir, tmp_path)
    with pytest.raises(ModelError, match="neither as a causal nor as a masked language model"):
        load_model(folder, random_init=True)


@pytest.mark.parametrize("weights", [True, False])
def test_modern_bert_is_refused_in_one_short_line(weights, tiny_model_dir, tmp_path):
    """Its random weights cannot be drawn on tensors without numbers."""
    config = ModernBertConfig(
        **WIDTHS, **SHARED, pad_token_id=0, bos_token_id=1, eos_token_id=2, cls_token_id=1, sep_token_id=2
    )
    folder = folder_of(config, "ModernBertForMaskedLM", tiny_model_dir, tmp_path)
    model = load_model(folder, random_init=weights, weights=weights)
    with pytest.raises(ModelError, match="TransformerLens cannot bridge a ModernBertForMaskedLM") as error:
        model.widths(["mlp.hook_post"])
    assert len(str(error.value)) < 300
    assert "\n" not in str(error.value)
