"""Texts that are longer than the context lose their beginning."""

import numpy as np
import pytest

from probing_datasets.building.annotation import AnnotatedText
from probing_datasets.building.sequences import open_tokenizer
from probing_datasets.building.text_endings import keep_ends
from probing_datasets.building.text_sampling import Texts
from probing_datasets.building.tokenization import token_ids
from probing_datasets.collections.labelled_text import LabelledTextConfig
from probing_datasets.foundation.errors import SourceError
from probing_datasets.sources.text_rows import TextRow

TEXTS = ["a b c d e f g h i j k l m n o p q r s t u v w x y z " * 4, "a b", "a", "the end"]


@pytest.fixture
def config(tokenizer_dir):
    return LabelledTextConfig(tokenizer=str(tokenizer_dir), min_tokens=2, context_length=24)


def ends_of(config):
    opened = open_tokenizer(config)
    texts = Texts([TextRow(text, label=str(i % 2), group=str(i)) for i, text in enumerate(TEXTS)], "digest", ("note",))
    ids = token_ids(opened.tokenizer, TEXTS)
    return keep_ends(config, opened, texts, map(AnnotatedText, ids)), ids


def test_texts_lose_their_beginning(config):
    sequences, ids = ends_of(config)
    n_prefix, n_suffix = len(sequences.frame.prefix), len(sequences.frame.suffix)
    for tokens, origin in zip(sequences.tokens, sequences.origin, strict=True):
        text = tokens[n_prefix : len(tokens) - n_suffix]
        assert text.tolist() == ids[origin][-len(text) :].tolist()
        assert len(text) == min(len(ids[origin]), 24 - n_prefix - n_suffix)
        assert tokens[:n_prefix].tolist() == list(sequences.frame.prefix)
        assert tokens[len(tokens) - n_suffix :].tolist() == list(sequences.frame.suffix)
    assert sequences.groups == [str(i) for i in sequences.origin]
    assert sequences.labels.tolist() == [str(i % 2) for i in sequences.origin]


def test_short_texts_are_dropped_and_counted(config):
    sequences, ids = ends_of(config)
    long_enough = [i for i, text in enumerate(ids) if len(text) >= 2]
    assert sequences.origin.tolist() == long_enough
    n_short = len(ids) - len(long_enough)
    note = [f"{n_short} texts are shorter than --min_tokens 2."] if n_short else []
    assert list(sequences.dropped) == ["note", *note]


def test_number_of_sequences(tokenizer_dirs):
    folder = str(tokenizer_dirs["byte_level_bpe"])
    sequences, _ = ends_of(LabelledTextConfig(tokenizer=folder, n_sequences=2, context_length=24))
    assert sorted(sequences.labels) == ["0", "1"]
    with pytest.raises(SourceError, match="holds no text of 500 tokens or more"):
        ends_of(LabelledTextConfig(tokenizer=folder, min_tokens=500))


def test_texts_that_fit_are_complete(config):
    sequences, ids = ends_of(LabelledTextConfig(tokenizer=config.tokenizer, context_length=1000))
    n_special = len(sequences.frame.prefix) + len(sequences.frame.suffix)
    assert np.array_equal(sequences.lengths, [len(text) + n_special for text in ids])
