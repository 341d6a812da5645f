"""Strings and contexts of tokens."""

import numpy as np
import pytest

from probing_datasets.building.tokenization import load_tokenizer
from sparse_probing.activations.statistics.token_texts import TokenTexts, mark_token


@pytest.fixture
def texts(tiny_dataset, tiny_model_dir):
    return TokenTexts(tiny_dataset, load_tokenizer(str(tiny_model_dir)))


def test_tokens_are_marked_in_their_context(texts, tiny_dataset, tiny_model_dir):
    tokenizer = load_tokenizer(str(tiny_model_dir))
    numbers = np.array([70, 3, 70, 200])
    tokens, contexts = texts.token_and_context(numbers)
    for number, token, context in zip(numbers, tokens, contexts, strict=True):
        sequence, position = texts.numbers.place(np.array([number]))
        ids = tiny_dataset.sequences["tokens"][int(sequence[0])]
        assert token == tokenizer.decode(ids[position[0] : position[0] + 1])
        before, rest = context.split("«")
        assert before == tokenizer.decode(ids[max(position[0] - 12, 0) : position[0]])
        assert rest.startswith(f"{token}»")
    assert contexts[0] == contexts[2]


def test_no_token_gives_no_text(texts):
    assert texts.token_and_context(np.empty(0, np.int64)) == ([], [])


@pytest.mark.parametrize(
    ("pieces", "marked"),
    [
        (("a", "a b", "a b c"), "a« b» c"),
        (("", "a", "a"), "«a»"),
        (("a\N{REPLACEMENT CHARACTER}", "aé", "aéb"), "a«é»b"),
        (("a", "a\N{REPLACEMENT CHARACTER}", "aéb"), "a«»éb"),
    ],
)
def test_a_part_of_a_character_adds_nothing_until_it_is_whole(pieces, marked):
    assert mark_token(*pieces) == marked
