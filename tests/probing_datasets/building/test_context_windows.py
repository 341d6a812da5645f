"""Short contexts that end at the probed token: compound words, stimuli and next tokens."""

from pathlib import Path

import numpy as np
import pytest

from probing_datasets.building.context_windows import POSITIVE
from probing_datasets.building.tokenization import load_tokenizer, token_spans
from probing_datasets.collections.compound_words import (
    FIRST_ONLY,
    SECOND_ONLY,
    TERMS,
    CompoundWordsConfig,
    build,
    find_terms,
)
from probing_datasets.collections.neuron_stimulus import OTHER_PREFIX, NeuronStimulusConfig, find_stimuli
from probing_datasets.collections.neuron_stimulus import build as build_stimuli
from probing_datasets.collections.next_token import SECOND_COMES_NEXT, NextTokenConfig, find_pairs
from probing_datasets.collections.next_token import build as build_pairs
from probing_datasets.foundation.errors import DatasetError, SettingsError
from probing_datasets.sources.text_rows import TextRow
from tests.builders.datasets import decoded_sequences
from tests.builders.sources import write_table


def kinds_by_end(find, folder: Path, text: str, *arguments) -> dict[int, int]:
    """The kind in the first column, by the last character of the token."""
    ((_, spans),) = token_spans(load_tokenizer(str(folder)), [text])
    column = find(TextRow(text), spans, *arguments)[:, 0]
    return {int(spans[token, 1]): int(column[token]) for token in np.flatnonzero(column)}


COMPOUNDS = [
    ("the living room was", {"the living room": POSITIVE}),
    ("LIVING\n  Room", {"LIVING\n  Room": POSITIVE}),
    ("a big room", {"a big room": SECOND_ONLY}),
    ("living, room", {"living, room": SECOND_ONLY}),  # a comma separates them
    ("a living cat", {"a living cat": FIRST_ONLY}),
    ("living living room", {"living living": FIRST_ONLY, "living living room": POSITIVE}),
    ("bedroom livings roomy", {}),
    ("room", {"room": SECOND_ONLY}),
    ("living", {}),
    ("", {}),
]


@pytest.mark.parametrize(("text", "expected"), COMPOUNDS)
def test_terms(tokenizer_dir, text, expected):
    kinds = {len(start): kind for start, kind in expected.items()}
    assert kinds_by_end(find_terms, tokenizer_dir, text, (("living", "room"),)) == kinds


def test_terms_that_share_words(tokenizer_dir):
    text = "social media security"
    ((_, spans),) = token_spans(load_tokenizer(str(tokenizer_dir)), [text])
    values = find_terms(TextRow(text), spans, (("social", "media"), ("social", "security")))
    rows = {int(spans[token, 1]): values[token].tolist() for token in np.flatnonzero(values.any(axis=1))}
    assert rows == {12: [POSITIVE, FIRST_ONLY], 21: [0, SECOND_ONLY]}


def test_there_are_21_terms():
    assert len(set(TERMS)) == 21


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("at the end of the way", {"at the": OTHER_PREFIX, "at the end of the": POSITIVE}),
        ("the of", {}),  # no space before it
        ("of the, of then", {"of the": POSITIVE, "of the, of the": POSITIVE}),  # a token; the word does not matter
        ("roof the", {"roof the": POSITIVE}),  # letters are tokens here: the prefix begins at one
    ],
)
def test_stimuli(tokenizer_dirs, text, expected):
    kinds = {len(start): kind for start, kind in expected.items()}
    assert kinds_by_end(find_stimuli, tokenizer_dirs["byte_level_bpe"], text, ((" the", ("of",)),)) == kinds


def test_a_prefix_begins_at_a_token():
    text = "bark bark dark"
    spans = np.array([[0, 1], [1, 4], [5, 9], [10, 11], [11, 14]], np.int32)
    assert find_stimuli(TextRow(text), spans, (("ark", ("b",)),))[:, 0].tolist() == [0, POSITIVE, 0, 0, OTHER_PREFIX]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("I see the cat", {"I see": POSITIVE}),
        ("I see a cat", {"I see": SECOND_COMES_NEXT}),
        ("the cat a", {"the cat": SECOND_COMES_NEXT}),  # nothing is before the first token
        ("x bathe", {}),
    ],
)
def test_next_tokens(tokenizer_dirs, text, expected):
    kinds = {len(start): kind for start, kind in expected.items()}
    assert kinds_by_end(find_pairs, tokenizer_dirs["wordpiece"], text, ((" the", " a"),)) == kinds


@pytest.fixture
def source(tmp_path):
    """A function that writes texts, each its own group."""

    def write(*texts: str) -> str:
        return write_table(tmp_path / "texts.jsonl", [{"text": t, "group": str(i)} for i, t in enumerate(texts)])

    return write


def test_contexts_end_at_the_probed_token(tiny_model_dir, source):
    text = "of all that was there then she saw the living room and a living cat in a small room once more. "
    path = source(*[text * 3] * 10)
    config = CompoundWordsConfig(
        tokenizer=str(tiny_model_dir), source=path, terms=("living room",), context_length=12, min_positives=5
    )
    dataset = build(config)
    tokenizer = load_tokenizer(str(tiny_model_dir))
    probes = dataset.feature_probes("living-room")
    assert (dataset.lengths <= 12).all()
    assert np.array_equal(probes.position, dataset.lengths[probes.sequence] - 1)
    for sequence, label in zip(probes.sequence, probes.label, strict=True):
        decoded = tokenizer.decode(dataset.tokens([sequence])[0][1:])
        assert decoded.endswith(" living room") == (label == 1)
        assert label == 1 or decoded.endswith((" living cat", "small room"))
    assert dataset.description.features["living-room"].counts == {"-1": 60, "1": 15}  # one in five


def test_kinds_of_negatives_are_even(tiny_model_dir, source):
    text = "the living room, the living cat, a room, b room, c room, d room, e room, "
    config = CompoundWordsConfig(
        tokenizer=str(tiny_model_dir),
        source=source(*[text] * 20),
        terms=("living room",),
        min_tokens=1,
        min_positives=5,
        rows_per_feature=40,
    )
    dataset = build(config)
    ends = [text.endswith("cat") for text in decoded_sequences(dataset, tiny_model_dir)]
    probes = dataset.feature_probes("living-room")
    assert dataset.description.features["living-room"].counts == {"-1": 32, "1": 8}
    assert sum(ends[s] for s in probes.sequence) == 16


def test_number_of_contexts(tiny_model_dir, source):
    path = source(*["she saw the living room and a living cat in a room once more. "] * 40)
    settings = {"tokenizer": str(tiny_model_dir), "source": path, "terms": ("living room",), "min_positives": 2}
    assert build(CompoundWordsConfig(**settings, n_sequences=30, min_tokens=2)).description.n_sequences == 30


def test_nothing_is_found(tiny_model_dir, source):
    config = CompoundWordsConfig(tokenizer=str(tiny_model_dir), source=source("nothing of it is in here, at all"))
    with pytest.raises(DatasetError, match="None of high-school, .* occurs in .*texts.jsonl. Use more text."):
        build(config)


def test_stimuli_of_one_token_are_one_feature(tiny_model_dir, source):
    path = source(*["all of it in it, on it and at it, of it in it by it of it "] * 10)
    config = NeuronStimulusConfig(
        tokenizer=str(tiny_model_dir), source=path, stimuli=("of| it", "in| it"), min_positives=2, min_tokens=1
    )
    dataset = build_stimuli(config)
    assert dataset.features == ("of,in+ it",)
    tokenizer = load_tokenizer(str(tiny_model_dir))
    probes = dataset.feature_probes("of,in+ it")
    for sequence, label in zip(probes.sequence, probes.label, strict=True):
        decoded = tokenizer.decode(dataset.tokens([sequence])[0])
        assert decoded.endswith((" of it", " in it")) == (label == 1)


def test_the_context_ends_before_the_next_token(tiny_model_dir, source):
    path = source(*["he saw the man in a car and the sea as a man who saw the man in a car "] * 10)
    config = NextTokenConfig(
        tokenizer=str(tiny_model_dir), source=path, pairs=(" the| a",), min_positives=2, min_tokens=2
    )
    dataset = build_pairs(config)
    tokenizer = load_tokenizer(str(tiny_model_dir))
    probes = dataset.feature_probes("the-a")
    for sequence, label in zip(probes.sequence, probes.label, strict=True):
        decoded = tokenizer.decode(dataset.tokens([sequence])[0])
        assert decoded.endswith((" saw", " and")) == (label == 1)
        assert decoded.endswith((" in", " as")) == (label == -1)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: CompoundWordsConfig(terms=("high",)),
            r"--terms must be terms of two words like 'high school', not \['high'\]",
        ),
        (lambda: CompoundWordsConfig(terms=()), "not empty"),
        (lambda: NeuronStimulusConfig(stimuli=("Harvard",)), r"--stimuli must have the form PREFIX\|TOKEN"),
        (lambda: build_stimuli(NeuronStimulusConfig()), "neuron_stimulus needs --stimuli"),
        (lambda: NextTokenConfig(pairs=(" the",)), "--pairs must be pairs of tokens"),
        (lambda: NextTokenConfig(pairs=(" a| a",)), "--pairs must be pairs of tokens"),
    ],
)
def test_bad_settings(make, message):
    with pytest.raises(SettingsError, match=message):
        make()
