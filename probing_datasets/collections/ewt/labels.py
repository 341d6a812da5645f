"""Grammatical values of tokens, from those of words, and the features that compare them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from probing_datasets.building.alignment import at_first_character, last_tokens
from probing_datasets.building.assembly import Labels
from probing_datasets.collections.ewt.documents import Document, PlacedWord
from probing_datasets.foundation.errors import AnnotationError
from probing_datasets.sources.text_rows import TextRow

MORPHOLOGY = ("Number", "Tense", "Mood", "VerbForm", "Person", "PronType", "Gender", "Voice", "NumType")
CATEGORIES = ("upos", "dep", *MORPHOLOGY)
UNMARKED = {"Number": "Sing", "Mood": "Ind", "Tense": "Pres"}
"""Categories whose values are compared only with this one: plural with singular, and with nothing else."""
MIN_CLASSES = 3
"""With fewer classes, a multiclass feature would only repeat the binary ones."""
FULL_STOPS = frozenset(".!?…。！？؟।")
NO_VALUE = -1

Inventory = dict[str, tuple[str, ...]]
"""The values of each category that occur in a treebank, sorted."""


def inventory(rows: Iterable[TextRow]) -> Inventory:
    """Return the values of each category in the given documents."""
    seen: dict[str, set[str]] = {category: set() for category in CATEGORIES}
    for row in rows:
        for word in Document(*row.extra).words:
            for category in CATEGORIES:
                seen[category].add(value_of(word, category))
    return {category: tuple(sorted(values - {"", "_"})) for category, values in seen.items()}


def value_of(word: PlacedWord, category: str) -> str:
    """Return the value of a category for a word; empty if it has none."""
    if category == "upos":
        return word.upos
    return word.deprel if category == "dep" else word.feats.get(category, "")


def annotate_tokens(row: TextRow, spans: np.ndarray, values: Inventory) -> np.ndarray:
    """Return the annotations of every token of a document.

    A token has the value of the word it belongs to. A token with parts of words of different values (*don*
    of *don't*) has no value.

    Parameters
    ----------
    row : TextRow
    spans : (m, 2) int32
        Characters of each token.
    values : dict
        Values of each category.

    Returns
    -------
    (m, 13) int16
        A column for each of `CATEGORIES`: number of the value, -1 for none. Then 1 for a token that belongs to a
        word; then 1 for the last token of a sentence, -1 if that token has no full stop, and 0 inside a sentence.

    Raises
    ------
    AnnotationError
        When the words could not be placed in the text.
    """
    document = Document(*row.extra)
    if document.failure:
        raise AnnotationError(document.failure)
    words = [PlacedWord(*word) for word in document.words if word[1] <= len(row.text)]
    first, last = words_of_tokens(words, spans, len(row.text))
    columns = []
    for category in CATEGORIES:
        number = {value: i for i, value in enumerate(values[category])}
        codes = np.array([number.get(value_of(word, category), NO_VALUE) for word in words], np.int64)
        columns.append(_common_codes(codes, first, last))
    return np.stack([*columns, first >= 0, _sentence_ends(row.text, document.sentence_stops, spans)], 1, dtype=np.int16)


def words_of_tokens(words: list[PlacedWord], spans: np.ndarray, n_characters: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the words of the first and the last character of each token: (m,) int64 each, -1 for none.

    White space after a word belongs to it.
    """
    number = np.zeros(n_characters, np.int64)  # from 1: tokens without characters get 0
    for i, word in enumerate(words, 1):
        number[word.start : word.stop] = i
    final = np.stack([np.maximum(spans[:, 1] - 1, spans[:, 0]), spans[:, 1]], axis=1)
    first, last = (at_first_character(ends, number) - 1 for ends in (spans, final))
    return first, np.maximum(first, last)


def _common_codes(codes: np.ndarray, first: np.ndarray, last: np.ndarray) -> np.ndarray:
    """Return the code that all words from the first to the last have, -1 if they differ or a token has no word."""
    n_changes = np.cumsum(np.append(0, np.diff(codes) != 0))
    common_codes = np.full(len(first), NO_VALUE)
    has_word = np.flatnonzero(first >= 0)
    is_common = has_word[n_changes[first[has_word]] == n_changes[last[has_word]]]
    common_codes[is_common] = codes[first[is_common]]
    return common_codes


def _sentence_ends(text: str, stops: list[int], spans: np.ndarray) -> np.ndarray:
    ends = np.zeros(len(spans), np.int64)
    for token in last_tokens(spans, [stop - 1 for stop in stops if 0 < stop <= len(text)]):
        if token >= 0:
            start, stop = spans[token]
            ends[token] = 1 if FULL_STOPS & set(text[start:stop]) else -1
    return ends


def category_features(codes: np.ndarray, is_word: np.ndarray, values: Inventory) -> Iterator[tuple[str, Labels]]:
    """Yield one binary feature for each value of each category, and a multiclass one for the category.

    Parameters
    ----------
    codes : (n, 11) int
        Columns of `CATEGORIES`, from `annotate_tokens`.
    is_word : (n,) bool
    values : dict
    """
    is_verb = np.isin(codes[:, CATEGORIES.index("upos")], [i for i, v in enumerate(values["upos"]) if v == "VERB"])
    for column, category in enumerate(CATEGORIES):
        code, names = codes[:, column], values[category]
        for number, name in enumerate(names):
            if name != UNMARKED.get(category):
                applies = _comparison_group(category, code, names, is_word, is_verb)
                yield f"{category}_{name}", Labels("binary", code == number, applies | (code == number))
        if len(names) >= MIN_CLASSES:
            yield category, Labels("multiclass", np.maximum(code, 0), code >= 0, names)


def _comparison_group(
    category: str, code: np.ndarray, names: tuple[str, ...], is_word: np.ndarray, is_verb: np.ndarray
) -> np.ndarray:
    """Return the rows that the values of a category are compared with: (n,) bool."""
    if UNMARKED.get(category) in names:
        return code == names.index(UNMARKED[category])
    if category == "NumType":
        return is_word
    return is_verb | (code >= 0) if category == "Voice" else code >= 0
