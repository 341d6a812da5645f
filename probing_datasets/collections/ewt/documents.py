"""Documents of a treebank: running text, and the characters at which its words stand."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import NamedTuple

from probing_datasets.building.sources import TextRow
from probing_datasets.collections.ewt.treebank import Sentence, SurfaceToken, Word
from probing_datasets.foundation.errors import AnnotationError


class PlacedWord(NamedTuple):
    """A word, and the characters of a document that spell it."""

    start: int
    stop: int
    upos: str
    deprel: str
    feats: dict[str, str]


class Document(NamedTuple):
    """What is known of a document beside its text; it travels as ``TextRow.extra``."""

    words: list[PlacedWord]
    sentence_stops: list[int]
    """One past the last character of each sentence."""
    problem: str
    """Why the words could not be placed in the text; empty when they were."""


def documents(sentences: Iterable[Sentence], pattern: str) -> Iterator[TextRow]:
    """Put consecutive sentences of one document together; the document is the group.

    Parameters
    ----------
    sentences : iterable of Sentence
    pattern : str
        Regular expression that matches the name of a sentence and whose first group is its document, for treebanks
        that do not mark where documents begin. A sentence that it does not match is a document of its own.
    """
    for name, members in groupby(_with_document(sentences, pattern), key=lambda pair: pair[0]):
        yield _document(name, [sentence for _, sentence in members])


def _with_document(sentences: Iterable[Sentence], pattern: str) -> Iterator[tuple[str, Sentence]]:
    document = None
    for sentence in sentences:
        document = sentence.new_document or document
        named = re.fullmatch(pattern, sentence.name)
        yield document or (named[1] if named else sentence.name), sentence


def _document(name: str, sentences: list[Sentence]) -> TextRow:
    """Join sentences by spaces and paragraphs by line ends."""
    text, words, stops = "", [], []
    glue = ""
    for sentence in sentences:
        text += "\n" if text and sentence.new_paragraph else glue
        sentence_text = sentence.text or spelled(sentence.tokens)
        try:
            words += place_words(sentence.tokens, sentence_text, len(text))
        except AnnotationError as error:
            return TextRow(text + sentence_text, group=name, extra=Document([], [], f"{sentence.name}: {error}"))
        text += sentence_text
        stops.append(len(text.rstrip()))
        glue = " " if sentence.tokens and sentence.tokens[-1].space_after else ""
    return TextRow(text, group=name, extra=Document(words, stops, ""))


def spelled(tokens: Iterable[SurfaceToken]) -> str:
    """Return the text that tokens and the spaces behind them spell."""
    return "".join(token.form + " " * token.space_after for token in tokens).rstrip()


def place_words(tokens: Iterable[SurfaceToken], text: str, offset: int = 0) -> list[PlacedWord]:
    """Find the characters of each word in the text of its sentence.

    The words of a multi-word token have characters of their own where they spell it (*do* and *n't*); where they
    do not (French *au* is *à* and *le*), none of them is placed.

    Parameters
    ----------
    tokens : iterable of SurfaceToken
    text : str
    offset : int
        Added to every position.

    Raises
    ------
    AnnotationError
        When the tokens do not spell the text, white space aside.
    """
    placed, at = [], 0
    for token in tokens:
        at += len(text) - at - len(text[at:].lstrip())
        if not text.startswith(token.form, at):
            raise AnnotationError(f"the text has {text[at : at + 20]!r} where the token {token.form!r} should be")
        if "".join(word.form for word in token.words) == token.form:
            placed += _side_by_side(token.words, offset + at)
        at += len(token.form)
    if rest := text[at:].strip():
        raise AnnotationError(f"the text goes on with {rest[:20]!r} behind the last token")
    return placed


def _side_by_side(words: Iterable[Word], at: int) -> Iterator[PlacedWord]:
    for word in words:
        yield PlacedWord(at, at + len(word.form), word.upos, word.deprel, word.feats)
        at += len(word.form)
