"""Probes of runs whose data sets do not score a text as it is: long texts, one side of a chat, a part of a text."""

from dataclasses import replace

import numpy as np
import pytest

import sparse_probing as sp
from probing_datasets.building.tokenization import special_frame
from probing_datasets.feature_dataset.probed_rows import ProbedRows
from probing_datasets.feature_dataset.spans import POOLED, pooled_span, with_spans
from probing_datasets.foundation.errors import ProbeError
from sparse_probing.monitoring.apply import apply_probes
from tests.builders.harvests import load_model_once
from tests.builders.sources import write_table

LAYER = 1
COMPLETION = "This user feels"


@pytest.fixture
def model(tiny_model_dir):
    return load_model_once(str(tiny_model_dir))


def fitted(dataset, tiny_model_dir, aggregation, **settings):
    """Return the store of a data set, and the result of a run on it."""
    store = sp.harvest(dataset, model=str(tiny_model_dir), aggregation=aggregation, output_precision="32")
    return store, sp.probe(store, dataset, layers=(LAYER,), controls=(), **settings)


def stored_activations(dataset, store, sequences):
    """Return the stored row of each sequence, given by its tokens."""
    rows = ProbedRows(*store.rows)
    tokens = dataset.tokens(np.arange(dataset.description.n_sequences))
    number_of = {tuple(ids.tolist()): number for number, ids in enumerate(tokens)}
    row_of = {int(sequence): row for row, sequence in enumerate(rows.sequence)}
    return store.read(LAYER)[[row_of[number_of[sequence]] for sequence in sequences]]


def long_texts(tmp_path):
    """Forty texts of two tones; most are longer than a context of 16 tokens, and begin and end differently."""
    greetings = ("Bonjour a tous", "Guten Morgen")
    texts = [f"{greetings[i % 2]} {i} and then " * (1 + i % 4) + f"{i}" for i in range(40)]
    rows = [{"text": text, "tone": "ab"[i % 2]} for i, text in enumerate(texts)]
    return texts, write_table(tmp_path / "texts.jsonl", rows)


@pytest.mark.parametrize("aggregation", ["none", "mean", "last"])
def test_a_long_text_loses_its_beginning_as_in_the_data_set(model, tiny_model_dir, tmp_path, aggregation, caplog):
    texts, source = long_texts(tmp_path)
    settings = {"label_column": "tone", "source": source, "context_length": 16, "group_column": ""}
    dataset = sp.make_dataset("labelled_text", tokenizer=str(tiny_model_dir), **settings)
    store, result = fitted(dataset, tiny_model_dir, aggregation, max_k=2)
    probe = result.saved_probe("tone: b", LAYER, k=2)
    assert probe.kept == "end"
    loaded = sp.load_probe(probe.save(tmp_path / "probe"))
    prefix = special_frame(model.tokenizer, prepend_bos=True).prefix
    ids = [model.tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts]
    sequences = [(*prefix, *each[-(16 - len(prefix)) :]) for each in ids]
    expected = loaded.scores_of(stored_activations(dataset, store, sequences))[:, 0]
    if aggregation == "none":  # the last token was probed
        tokens = loaded.score(texts, per_token=True, model=model)
        scores = [of_text[-1][1] for of_text in tokens]
        assert all(texts[i].endswith("".join(token for token, _ in of[-2:])) for i, of in enumerate(tokens))
    else:
        scores = loaded.score(texts, model=model)
    np.testing.assert_allclose(scores, expected, atol=1e-5)
    room = 16 - len(prefix)
    n_long = sum(len(each) > room for each in ids)
    assert 10 < n_long < 40
    assert f"{n_long} of 40 texts are longer than {room} tokens; their beginning is not scored." in caplog.text
    frame = apply_probes([loaded], texts, per_token=aggregation == "none", model=model)
    if aggregation == "none":
        last = frame.groupby("text").last()
        np.testing.assert_allclose(last["tone: b"], expected, atol=1e-5)
        assert last["stop"].tolist() == list(map(len, texts))
    else:
        kept = f"the last {room} of {len(ids[3])} tokens are scored"
        assert frame["note"][3] == f"longer than the context: {kept}"


@pytest.mark.parametrize("side", ["user", "assistant", "all", "last"])
def test_one_side_of_a_chat_is_aggregated_in_the_data_set_and_in_new_messages(model, tiny_model_dir, tmp_path, side):
    words = {"joy": "Such fun", "sadness": "I miss it"}
    rows = [{"text": f"{word} {i} " * (1 + i % 3), "labels": [s]} for i in range(20) for s, word in words.items()]
    settings = {"source": write_table(tmp_path / "m.jsonl", rows), "completion": COMPLETION, "probed_tokens": side}
    dataset = sp.make_dataset("emotional_state", tokenizer=str(tiny_model_dir), **settings)
    store, result = fitted(dataset, tiny_model_dir, "mean", study="multinomial_sweep", max_k=3)
    probe = result.saved_probe("emotional_state", LAYER, k=3, probe="multinomial")
    loaded = sp.load_probe(probe.save(tmp_path / "probe"))
    messages = [row["text"] for row in rows]
    prefix = special_frame(model.tokenizer, prepend_bos=True).prefix
    chats = [f"User: {message}\n\nAssistant: {COMPLETION}" for message in messages]
    sequences = [(*prefix, *model.tokenizer(chat, add_special_tokens=False)["input_ids"]) for chat in chats]
    expected = loaded.scores_of(stored_activations(dataset, store, sequences))
    np.testing.assert_allclose(loaded.score(messages, model=model), expected, atol=1e-5)
    # Pooled scores of tokens are of the same side: their mean is the score of the mean activation.
    pooled = apply_probes([loaded], messages, poolings=["mean"], model=model)
    names = [f"emotional_state={name}_mean" for name in loaded.classes]
    np.testing.assert_allclose(pooled[names].to_numpy(), expected, atol=1e-5)
    # And the side is what the chat shows it to be.
    first, stop = pooled_span(dataset, np.arange(dataset.description.n_sequences)).T
    tokens = dataset.tokens(np.arange(dataset.description.n_sequences))
    spans = {model.tokenizer.decode(t[a:b]).strip() for t, a, b in zip(tokens, first, stop, strict=True)}
    whole = {chat.strip() for chat in chats}
    assert spans == {"user": {m.strip() for m in messages}, "assistant": {COMPLETION}}.get(side, whole)


def test_a_part_of_a_text_that_nobody_can_find_is_not_saved(tiny_dataset, tiny_model_dir, tmp_path):
    """Names that a data set marks, as those of `wikidata`."""
    stop = tiny_dataset.lengths - tiny_dataset.description.n_suffix
    marked = with_spans(tiny_dataset, {POOLED: np.stack([stop - 2, stop], axis=1)})
    marked = replace(marked, description=replace(marked.description, name="marked.tiny.64.-1"))
    _, result = fitted(marked, tiny_model_dir, "mean", max_k=1, feature_subset=("German",))
    with pytest.raises(ProbeError, match=r"aggregates a part of each text.*--activation_aggregation none"):
        result.saved_probe("German", LAYER)
    _, of_tokens = fitted(marked, tiny_model_dir, "none", max_k=1, feature_subset=("German",))
    assert of_tokens.saved_probe("German", LAYER).kept == "end"
