"""Spans of tokens: which token covers which characters."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probing_datasets.building.alignment import (
    WHITE_SPACE,
    at_first_character,
    first_tokens,
    inside,
    last_tokens,
    tokens_that_read,
    tokens_within,
    trim_spans,
)

#           0123456789
SENTENCE = "The 😀 sat."
SPANS = np.array([[0, 3], [4, 5], [4, 5], [5, 5], [6, 9], [9, 10]], np.int32)


def test_white_space_is_that_of_python():
    assert set(WHITE_SPACE.tolist()) == {code for code in range(0x110000) if chr(code).isspace()}


def test_first_and_last_tokens_of_characters():
    assert first_tokens(SPANS, [0, 2, 3, 4, 8, 9]).tolist() == [0, 0, -1, 1, 4, 5]
    assert last_tokens(SPANS, [0, 2, 3, 4, 8, 9]).tolist() == [0, 0, -1, 2, 4, 5]
    assert first_tokens(SPANS, []).tolist() == []
    assert first_tokens(np.empty((0, 2), np.int32), [3]).tolist() == [-1]
    assert first_tokens(SPANS, [99]).tolist() == [-1]


def test_tokens_within():
    assert tokens_within(SPANS, 2, 5).tolist() == [0, 1, 2]
    assert tokens_within(SPANS, 3, 4).tolist() == []
    assert tokens_within(SPANS, 5, 7).tolist() == [4]  # not the one that covers no character
    assert tokens_within(SPANS, 4, 4).tolist() == []


def test_at_first_character():
    assert at_first_character(SPANS, np.arange(10) + 1).tolist() == [1, 5, 5, 0, 7, 10]
    assert at_first_character(SPANS, np.array([c == "s" for c in SENTENCE])).tolist() == [*[False] * 4, True, False]


spans = st.lists(st.tuples(st.integers(0, 20), st.integers(0, 4)), max_size=10).map(
    lambda pairs: np.array([(a, a + n) for a, n in sorted(pairs)], np.int32).reshape(-1, 2)
)


@settings(max_examples=50)
@given(spans, st.lists(st.integers(0, 25), max_size=6))
def test_tokens_of_characters_one_by_one(pairs, characters):
    covering = [[i for i, (a, b) in enumerate(pairs.tolist()) if a <= c < b] for c in characters]
    assert first_tokens(pairs, characters).tolist() == [min(c, default=-1) for c in covering]
    assert last_tokens(pairs, characters).tolist() == [max(c, default=-1) for c in covering]


@settings(max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)).map(sorted).map(tuple), max_size=6))
def test_inside_one_by_one(intervals):
    assert inside(12, intervals).tolist() == [any(a <= c < b for a, b in intervals) for c in range(12)]


@settings(max_examples=50)
@given(st.text(alphabet="ab \n\u3000é", max_size=12), st.data())
def test_trimmed_spans_lose_only_their_leading_white_space(text, data):
    start = data.draw(st.integers(0, len(text)))
    stop = data.draw(st.integers(start, len(text)))
    ((new, same),) = trim_spans(text, np.array([[start, stop]], np.int32)).tolist()
    assert same == stop
    inner = text[start:stop]
    assert text[new:stop] == (inner.lstrip() if inner.strip() else inner)


@pytest.mark.parametrize(
    ("string", "tokens"),
    [("the", [3]), (" the", [0, 5]), ("The", []), (" th", [1]), ("cat", [4]), (" cat", []), ("!", [6])],
)
def test_tokens_that_read_a_string(string, tokens):
    text = ". the thethecat the!"
    pieces = [(2, 5), (6, 9), (6, 9), (9, 12), (12, 15), (16, 19), (19, 20)]
    pieces[1:3] = [(6, 8), (8, 9)]  # the second word begins with "th" and "e"
    assert tokens_that_read(text, np.array(pieces, np.int32), string).tolist() == tokens
