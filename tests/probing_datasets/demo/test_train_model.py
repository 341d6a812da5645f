"""Training of the demo model: mixture of texts, tokenizer, batches, loss, and the whole run."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM

from probing_datasets.building.tokenization import load_tokenizer
from probing_datasets.demo import DEMO_TEXTS
from probing_datasets.demo.train_model import (
    Batches,
    TrainingConfig,
    build_model,
    encode,
    held_out_loss,
    learning_rate,
    load_corpus,
    loss_of,
    sampling_weights,
    split_held_out,
    train,
    train_tokenizer,
)
from tests.builders.sources import read_rows

sizes = st.dictionaries(st.sampled_from(["a", "b", "code:C", "code:Python"]), st.integers(1, 10**6), min_size=1)


@given(sizes)
def test_weights_by_the_root_of_the_size(sizes):
    weights = sampling_weights(sizes, {})
    assert set(weights) == set(sizes)
    assert sum(weights.values()) == pytest.approx(1)
    largest = max(sizes, key=lambda name: sizes[name])
    for name, size in sizes.items():
        assert weights[name] / weights[largest] == pytest.approx(math.sqrt(size / sizes[largest]))


def test_given_weights_are_kept_and_the_rest_is_shared():
    sizes = {"a": 100, "b": 400, "code:C": 900, "code:Python": 100}
    weights = sampling_weights(sizes, {"code": 0.4, "a": 0.3, "nowhere": 0.2})
    assert weights == pytest.approx({"a": 0.3, "b": 0.3, "code:C": 0.3, "code:Python": 0.1})


def test_given_weights_of_everything_are_shares():
    weights = sampling_weights({"a": 5, "b": 7}, {"a": 0.2, "b": 0.2})
    assert weights == pytest.approx({"a": 0.5, "b": 0.5})


def test_held_out_documents_are_split_by_their_text():
    corpus = {"a": [f"text {i}" for i in range(1000)], "b": ["one"]}
    train_part, held_out = split_held_out(corpus, 0.1)
    assert sorted(train_part["a"] + held_out["a"]) == sorted(corpus["a"])
    assert 60 < len(held_out["a"]) < 140
    moved, _ = split_held_out({"c": corpus["a"][::-1]}, 0.1)
    assert set(moved["c"]) == set(train_part["a"])


def test_learning_rate_warms_up_and_decays():
    rates = [learning_rate(step, 1000, 2.0) for step in range(1000)]
    assert rates[0] == pytest.approx(0.1)
    assert max(rates) == rates[20] == pytest.approx(2.0)
    assert rates[-1] == pytest.approx(0.1, rel=1e-2)
    assert all(a < b for a, b in zip(rates[:20], rates[1:20], strict=False))
    assert all(a > b for a, b in zip(rates[20:], rates[21:], strict=False))


@pytest.fixture
def config(tmp_path: Path) -> TrainingConfig:
    texts = [row["text"] for row in read_rows(DEMO_TEXTS["natural_lang_id"])]
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "prose.txt").write_text("<|endoftext|>".join(texts[:60]))
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "m.py").write_text("import os\nprint(os.name)\n" * 40)
    return TrainingConfig(
        tmp_path / "model",
        text=(tmp_path / "text",),
        code=(tmp_path / "code",),
        weights={"code": 0.2},
        tokens=2048,
        vocab_size=300,
        hidden_size=16,
        n_layers=1,
        context_length=32,
        batch_size=4,
        held_out=0.2,
    )


def test_every_document_begins_with_the_end_of_text_token(config):
    corpus = load_corpus(config)
    assert set(corpus) == {"prose", "code:Python"}
    tokenizer = train_tokenizer(corpus, {"prose": 0.5, "code:Python": 0.5}, 300)
    data = encode(tokenizer, corpus["prose"])
    assert data.dtype == np.uint16
    assert (data == tokenizer.bos_token_id).sum() == len(corpus["prose"])
    assert tokenizer.decode(data[1 : np.flatnonzero(data == tokenizer.bos_token_id)[1]]) == corpus["prose"][0]


def test_batches_are_windows_mixed_by_weight(config):
    data = {"long": np.arange(10, 1000, dtype=np.uint16), "short": np.arange(5000, 5003, dtype=np.uint16)}
    weights = {"long": 0.75, "short": 0.25}
    batches = Batches(data, weights, replace(config, batch_size=400), 7)
    batch = next(batches).numpy()
    assert batch.shape == (400, 32)
    assert (batch[:, 0] == 7).all()
    short = batch[:, 1] >= 5000
    assert abs(short.mean() - 0.25) < 0.1
    assert (np.diff(batch[~short, 1:]) == 1).all()
    assert set(batch[short, 1:].ravel()) <= {5000, 5001, 5002}  # repeated to the length
    again = next(Batches(data, weights, replace(config, batch_size=400), 7)).numpy()
    assert np.array_equal(batch, again)


def test_loss_is_that_of_the_next_token(config):
    model = build_model(config, 0)
    again = build_model(config, 0)
    assert all(torch.equal(p, q) for p, q in zip(model.parameters(), again.parameters(), strict=True))
    batch = torch.arange(64).reshape(2, 32)
    with torch.no_grad():
        log_p = model(batch).logits.log_softmax(-1)
        expected = -np.mean([log_p[i, t, batch[i, t + 1]].item() for i in range(2) for t in range(31)])
        assert loss_of(model, batch).item() == pytest.approx(expected, rel=1e-5)
    held_out = held_out_loss(model, {"a": np.arange(64, dtype=np.uint16), "tiny": np.arange(5, dtype=np.uint16)}, 32)
    assert held_out == {"a": pytest.approx(expected, abs=1e-4)}


def test_end_to_end(config):
    figures = train(config)
    assert json.loads((config.output / "training.json").read_text()) == figures
    assert figures["sampling_weights"] == {"prose": 0.8, "code:Python": 0.2}
    assert [point["step"] for point in figures["curve"]] == [16]
    assert figures["held_out_loss"]["prose"] < figures["held_out_loss_at_initialisation"]["prose"]
    assert figures["held_out_loss_at_initialisation"]["prose"] == pytest.approx(math.log(300), rel=0.05)
    assert "output" not in figures["config"]
    model = AutoModelForCausalLM.from_pretrained(config.output)
    assert model.dtype == torch.float16
    assert sum(p.numel() for p in model.parameters()) == figures["parameters"]
    tokenizer = load_tokenizer(str(config.output))
    assert tokenizer.model_max_length == 32
    assert len(tokenizer) == 300
    text = "Grüße, Καλημέρα 😀"
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text
