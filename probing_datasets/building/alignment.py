"""Tokens and characters: which token covers which part of a text.

A span holds the tokenizer's offsets: characters [start, stop) of the text, without the white
space in front of a word. Tokens that are bytes of one character share its span. A token with
``start == stop`` covers no character (a marker that the tokenizer inserts).
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike

WHITE_SPACE = np.array([code for code in range(0x3001) if chr(code).isspace()], np.uint32)
"""Code points for which `str.isspace` holds; the ideographic space U+3000 is the last of them."""


def trim_spans(text: str, spans: np.ndarray) -> np.ndarray:
    """Move the start of each span after its leading white space; spans that are only white space do not change.

    Parameters
    ----------
    text : str
    spans : (m, 2) int32

    Returns
    -------
    (m, 2) int32
    """
    codes = np.frombuffer(text.encode("utf-32-le", errors="surrogatepass"), np.uint32)
    is_space = np.append(np.isin(codes, WHITE_SPACE), False)
    place = np.arange(len(is_space), dtype=np.int32)
    next_other = np.minimum.accumulate(np.where(is_space, len(is_space), place)[::-1])[::-1]
    start, stop = spans[:, 0], spans[:, 1]
    trimmed = next_other[start]
    return np.stack([np.where(trimmed < stop, trimmed, start), stop], axis=1).astype(np.int32)


def first_tokens(spans: np.ndarray, characters: ArrayLike) -> np.ndarray:
    """Return for each character the first token that covers it, -1 if none does: (n,) int64."""
    return _token_of_character(spans, np.asarray(characters, np.int64), first=True)


def last_tokens(spans: np.ndarray, characters: ArrayLike) -> np.ndarray:
    """Return for each character the last token that covers it, -1 if none does: (n,) int64."""
    return _token_of_character(spans, np.asarray(characters, np.int64), first=False)


def _token_of_character(spans: np.ndarray, characters: np.ndarray, first: bool) -> np.ndarray:
    length = spans[:, 1] - spans[:, 0]
    token = np.repeat(np.arange(len(spans)), length)
    covered = np.arange(len(token)) + np.repeat(spans[:, 0] - (np.cumsum(length) - length), length)
    of_character = np.full(max(spans[:, 1].max(initial=0), characters.max(initial=-1) + 1), -1, np.int64)
    if first:
        token, covered = token[::-1], covered[::-1]
    of_character[covered] = token  # of several tokens of a character, the one that is assigned last remains
    return of_character[characters]


def tokens_within(spans: np.ndarray, start: int, stop: int) -> np.ndarray:
    """Return the tokens that overlap the characters [start, stop): (k,) int64."""
    return np.flatnonzero((spans[:, 0] < stop) & (spans[:, 1] > start) & (spans[:, 0] < spans[:, 1]))


def inside(n_characters: int, intervals: Iterable[tuple[int, int]]) -> np.ndarray:
    """Return which characters are in any of the [start, stop) intervals: (n_characters,) bool."""
    steps = np.zeros(n_characters + 1, np.int64)
    pairs = np.array(list(intervals), np.int64).reshape(-1, 2)
    np.add.at(steps, pairs[:, 0], 1)
    np.add.at(steps, pairs[:, 1], -1)
    return np.cumsum(steps)[:n_characters] > 0


def at_first_character(spans: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return for each token the value of its first character; zero or False if it covers none: (m,)."""
    covers = spans[:, 0] < spans[:, 1]
    result = np.zeros(len(spans), values.dtype)
    result[covers] = values[spans[covers, 0]]
    return result


def tokens_that_read(text: str, spans: np.ndarray, string: str) -> np.ndarray:
    """Return the tokens whose text is exactly a string, increasing: (k,) int64.

    Parameters
    ----------
    text : str
    spans : (m, 2) int32
        Characters of each token of the text.
    string : str
        With a leading space (`` the``) only tokens after a space match; without one, only tokens that are not.
    """
    body = string.removeprefix(" ")
    before = " " if string.startswith(" ") else "(?<! )"
    start = np.array([match.start() for match in re.finditer(f"{before}(?={re.escape(body)})", text)], np.int64)
    start += len(string) - len(body)
    token = first_tokens(spans, start)
    return token[(token >= 0) & (spans[token] == np.stack([start, start + len(body)], axis=1)).all(axis=1)]
