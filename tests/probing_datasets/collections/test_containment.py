"""Characters and tokens inside quotes and brackets."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probing_datasets.building.tokenization import load_tokenizer, token_spans
from probing_datasets.collections.containment import DELIMITERS, ContainmentConfig, containment_of_tokens, enclosed
from probing_datasets.foundation.errors import SettingsError
from probing_datasets.sources.text_rows import TextRow

# Kind; text; the characters inside, marked x by hand.
CASES = [
    ("parentheses", "a (b c) d", "___xxx___"[:3] + "xxx" + "___"),
    ("parentheses", "(a(b)c)", "_xxxxx_"),
    ("parentheses", "a) (b", "_____"),
    ("parentheses", "()", "__"),
    ("parentheses", "((a)", "__x_"),
    ("brackets", "[x] (y)", "_x_____"),
    ("braces", "{é}😀", "_x__"),
    ("angle_brackets", "<br> 1 < 2", "_xx_______"),
    ("quotes", 'a "b" c "d"', "___x_____x_"),
    ("quotes", "“a” b", "_x___"),
    ("quotes", '"a\n\n"b" c', "_____x___"[:4] + "_x___"),  # a paragraph ends an open quote
    ("quotes", '"open', "_____"),
]


@pytest.mark.parametrize(("kind", "text", "expected"), CASES)
def test_characters_inside(kind, text, expected):
    assert len(text) == len(expected)
    marks = ["_"] * len(text)
    for start, stop in enclosed(text, *DELIMITERS[kind], max_span=100):
        marks[start:stop] = "x" * (stop - start)
    assert "".join(marks) == expected


def test_long_spans_are_treated_as_unclosed():
    assert enclosed("(1234)", "(", ")", 4) == [(1, 5)]
    assert enclosed("(12345)", "(", ")", 4) == []


@settings(max_examples=60)
@given(st.text(alphabet="a ()", max_size=20))
def test_balanced_text_has_depth(text):
    """If every bracket is closed, a character is inside when the depth of brackets is not 0."""
    depth = np.cumsum([{"(": 1, ")": -1}.get(c, 0) for c in text])
    if len(text) and depth.min() >= 0 and depth[-1] == 0:
        inside = np.zeros(len(text), bool)
        for start, stop in enclosed(text, "(", ")", 100):
            inside[start:stop] = True
        outermost_close = np.array([c == ")" for c in text]) & (depth == 0)
        outermost_open = np.array([c == "(" for c in text]) & (depth == 1)
        expected = (depth > 0) & ~outermost_open | outermost_close & False
        assert inside.tolist() == expected.tolist()


def test_tokens_of_every_kind(tokenizer_dir):
    text = 'the (cat 😀) sat "there" [1] {2} <3>'
    ((_, spans),) = token_spans(load_tokenizer(str(tokenizer_dir)), [text])
    values = containment_of_tokens(TextRow(text), spans, 100)
    assert values.shape == (len(spans), len(DELIMITERS))
    for column, name in enumerate(DELIMITERS):
        strings = {
            text[start:stop].strip() for (start, stop), inside in zip(spans, values[:, column], strict=True) if inside
        }
        expected = {"quotes": "there", "parentheses": "cat 😀", "brackets": "1", "braces": "2", "angle_brackets": "3"}[
            name
        ]
        assert set("".join(strings)) == set(expected.replace(" ", ""))


def test_longest_span_must_be_positive():
    with pytest.raises(SettingsError, match="--max_span must be at least 1, not 0"):
        ContainmentConfig(max_span=0)
