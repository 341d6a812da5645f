"""Grammatical values of tokens, and which rows each feature compares."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from probing_datasets.building.tokenization import load_tokenizer, token_spans
from probing_datasets.collections.ewt.documents import Document, PlacedWord, documents
from probing_datasets.collections.ewt.labels import (
    CATEGORIES,
    annotate_tokens,
    category_features,
    inventory,
    value_of,
    words_of_tokens,
)
from probing_datasets.collections.ewt.treebank import read_sentences
from probing_datasets.foundation.errors import AnnotationError
from probing_datasets.sources.text_rows import TextRow
from tests.builders.sources import real_data

TEXT = "We don't.\nYes"
WORDS = [
    PlacedWord(0, 2, "PRON", "nsubj", {"Number": "Plur"}),
    PlacedWord(3, 5, "AUX", "aux", {"Tense": "Pres"}),
    PlacedWord(5, 8, "PART", "advmod", {}),
    PlacedWord(8, 9, "PUNCT", "punct", {}),
    PlacedWord(10, 13, "INTJ", "root", {}),
]
ROW = TextRow(TEXT, group="letter", extra=Document(WORDS, [9, 13], ""))
VALUES = inventory([ROW])


def annotated(*tokens: str) -> list[list[int]]:
    """Annotate a tokenization of TEXT; white space between the tokens is not part of any token."""
    spans, place = [], 0
    for token in tokens:
        place = TEXT.index(token, place)
        spans.append((place, place + len(token)))
        place += len(token)
    return annotate_tokens(ROW, np.array(spans, np.int32), VALUES).tolist()


def names(category: str, codes: list[list[int]]) -> list[str]:
    values = (*VALUES[category], "")  # the last one for -1
    return [values[code[CATEGORIES.index(category)]] for code in codes]


def test_every_token_of_a_word_has_its_values():
    codes = annotated("W", "e", "do", "n", "'t", ".", "\n", "Yes")
    assert names("upos", codes) == ["PRON", "PRON", "AUX", "PART", "PART", "PUNCT", "", "INTJ"]
    assert names("dep", codes) == ["nsubj", "nsubj", "aux", "advmod", "advmod", "punct", "", "root"]
    assert names("Number", codes) == ["Plur", "Plur", "", "", "", "", "", ""]
    assert [code[-2] for code in codes] == [1, 1, 1, 1, 1, 1, 0, 1]


def test_a_token_of_several_words_has_the_values_that_they_share():
    codes = annotated("We", "don", "'t.", "\n", "Yes")
    assert names("upos", codes) == ["PRON", "", "", "", "INTJ"]
    assert names("Number", codes) == ["Plur", "", "", "", ""]
    assert [code[-2] for code in codes] == [1, 1, 1, 0, 1]


def test_white_space_after_a_word_belongs_to_it():
    assert names("upos", annotated("We ", "do", "n't", ".\n", "Yes")) == ["PRON", "AUX", "PART", "PUNCT", "INTJ"]


def test_ends_of_sentences():
    codes = annotated("We", "do", "n't", ".", "\n", "Y", "es")
    assert [code[-1] for code in codes] == [0, 0, 0, 1, 0, 0, -1]  # "Yes" ends without a full stop


def test_a_document_whose_words_could_not_be_placed():
    with pytest.raises(AnnotationError, match="s1: why"):
        annotate_tokens(ROW._replace(extra=Document([], [], "s1: why")), np.zeros((1, 2), np.int32), VALUES)


def test_a_text_that_was_cut_keeps_the_words_before_the_cut():
    cut = ROW._replace(text=TEXT[:9])
    codes = annotate_tokens(cut, np.array([(0, 2), (3, 5), (5, 8), (8, 9)], np.int32), VALUES).tolist()
    assert names("upos", codes) == ["PRON", "AUX", "PART", "PUNCT"]
    assert codes[-1][-1] == 1


def test_annotations_of_documents_survive_json():
    again = ROW._replace(extra=tuple(json.loads(json.dumps(ROW.extra))))
    spans = np.array([(0, 2), (3, 9), (10, 13)], np.int32)
    assert np.array_equal(annotate_tokens(again, spans, VALUES), annotate_tokens(ROW, spans, VALUES))


@given(st.lists(st.integers(0, 4), min_size=1, max_size=12), st.lists(st.integers(0, 3), min_size=1, max_size=12))
def test_words_of_tokens_against_counting(word_lengths, token_lengths):
    """Words (length 0 to 4, then a space) and tokens (length 0 to 3) divide a text independently."""
    words, place = [], 0
    for length in word_lengths:
        if length:
            words.append(PlacedWord(place, place + length, "", "", {}))
        place += length + 1
    stops = np.cumsum(token_lengths)
    spans = np.stack([stops - token_lengths, stops], axis=1)
    first, last = words_of_tokens(words, spans, max(place, int(stops[-1])))
    for (start, stop), low, high in zip(spans, first, last, strict=True):
        touched = [i for i, word in enumerate(words) if word.start < stop and start < word.stop]
        starts_in_word = start < stop and bool(touched) and words[touched[0]].start <= start
        assert low == (touched[0] if starts_in_word else -1)
        if starts_in_word and words[touched[-1]].stop >= stop:
            assert high == touched[-1]


def test_rules_of_comparison():
    """The rows that each feature compares, in a small table of part of speech, number, voice and kind of numeral."""
    table = [("NOUN", "Sing", "", ""), ("NOUN", "Plur", "", ""), ("NOUN", "Ptan", "", ""), ("VERB", "Sing", "", "")]
    table += [("VERB", "", "Pass", ""), ("AUX", "", "", ""), ("NUM", "", "", "Card"), ("ADJ", "", "", "Ord")]
    words = [
        PlacedWord(0, 0, upos, "dep", {"Number": number, "Voice": voice, "NumType": numeral})
        for upos, number, voice, numeral in table
    ]
    values = inventory([TextRow("", extra=Document(words, [], ""))])
    codes = np.array(
        [[value_of_code(word, c, values) for c in CATEGORIES] for word in [*words, PlacedWord(0, 0, "", "", {})]]
    )
    is_word = np.arange(len(codes)) < len(words)  # the last row is white space
    features = dict(category_features(codes, is_word, values))
    compared = {name: labels.applies.nonzero()[0].tolist() for name, labels in features.items()}
    positive = {
        name: labels.values.nonzero()[0].tolist() for name, labels in features.items() if labels.kind == "binary"
    }
    assert "Number_Sing" not in features
    assert (positive["Number_Plur"], compared["Number_Plur"]) == ([1], [0, 1, 3])
    assert (positive["Number_Ptan"], compared["Number_Ptan"]) == ([2], [0, 2, 3])
    assert (positive["Voice_Pass"], compared["Voice_Pass"]) == ([4], [3, 4])
    assert (positive["NumType_Card"], compared["NumType_Card"]) == ([6], list(range(8)))
    assert (positive["upos_NOUN"], compared["upos_NOUN"]) == ([0, 1, 2], list(range(8)))
    assert {name for name, labels in features.items() if labels.kind == "multiclass"} == {"upos", "Number"}
    assert features["Number"].classes == ("Plur", "Ptan", "Sing")
    assert features["Number"].values[compared["Number"]].tolist() == [2, 0, 1, 2]


def value_of_code(word: PlacedWord, category: str, values: dict) -> int:
    value = value_of(word, category)
    return values[category].index(value) if value in values[category] else -1


def raw_documents(folder: Path) -> Iterator[list[tuple[str, str]]]:
    """The (form, part of speech) of all words of each document, by splitting lines."""
    document: list[tuple[str, str]] = []
    for path in sorted(folder.glob("en_ewt-*.conllu.zst")):
        with zstandard.open(path, "rt", encoding="utf-8") as file:
            for line in file:
                if line.startswith("# newdoc") and document:
                    yield document
                    document = []
                columns = line.rstrip("\n").split("\t")
                if columns[0].isdecimal():
                    document.append((columns[1], columns[3]))
    yield document


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["demo", "byte_level_bpe", "unigram", "wordpiece"])
def test_parts_of_speech_land_on_first_characters(kind, tokenizer_dirs):
    """All 16,622 sentences; the expected words come from counting letters, the tokens from the tokenizer."""
    folder = real_data("en_ewt-ud-train.conllu.zst").parent
    tokenizer = load_tokenizer(str(tokenizer_dirs.get(kind, kind)))
    sentences = list(read_sentences(str(folder)))
    rows = list(documents(sentences, r"(.+)-\d{4}"))
    values = inventory(rows)
    n_words = n_shared = 0
    for row, words in zip(rows, raw_documents(folder), strict=True):
        letters = np.array([i for i, character in enumerate(row.text) if not character.isspace()])
        owners = np.repeat([upos for _, upos in words], [len("".join(form.split())) for form, _ in words])
        of_character = dict(zip(letters.tolist(), owners.tolist(), strict=True))
        firsts = letters[np.cumsum([0, *(len("".join(form.split())) for form, _ in words)])[:-1]]
        ((_, spans),) = token_spans(tokenizer, [row.text])
        codes = annotate_tokens(row, spans, values)[:, 0]
        encoded = tokenizer(row.text, add_special_tokens=False, split_special_tokens=True)
        for (_, upos), first in zip(words, firsts.tolist(), strict=True):
            token = encoded.char_to_token(first)
            parts_of_speech = {of_character[i] for i in range(*spans[token]) if i in of_character}
            assert upos in parts_of_speech
            assert codes[token] == (values["upos"].index(upos) if parts_of_speech == {upos} else -1)
            n_shared += parts_of_speech != {upos}
        n_words += len(words)
    assert (len(sentences), n_words) == (16_622, 254_818)
    assert n_shared < 0.02 * n_words
