"""Documents of a treebank: running text, and the characters of each word in it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import NamedTuple

from probing_datasets.collections.ewt.treebank import Sentence, SurfaceToken
from probing_datasets.foundation.errors import AnnotationError
from probing_datasets.sources.text_rows import TextRow


class PlacedWord(NamedTuple):
    """A word, and its characters [start, stop) in a document."""

    start: int
    stop: int
    upos: str
    deprel: str
    feats: dict[str, str]


class Document(NamedTuple):
    """Annotations of a document; they are the ``extra`` of its `TextRow`."""

    words: list[PlacedWord]
    sentence_stops: list[int]
    """One past the last character of each sentence."""
    failure: str
    """Why the words could not be placed in the text; empty if they were."""


def documents(sentences: Iterable[Sentence], pattern: str) -> Iterator[TextRow]:
    """Join consecutive sentences of one document; the document is the group.

    Parameters
    ----------
    sentences : iterable of Sentence
    pattern : str
        Regular expression that matches the name of a sentence and whose first group is its document, for treebanks
        that do not mark the beginning of documents. A sentence that does not match is a separate document.
    """
    for name, pairs in groupby(_document_names(sentences, pattern), key=lambda pair: pair[0]):
        yield _join_sentences(name, [sentence for _, sentence in pairs])


def _document_names(sentences: Iterable[Sentence], pattern: str) -> Iterator[tuple[str, Sentence]]:
    """Yield each sentence with the name of its document."""
    document = None
    for sentence in sentences:
        document = sentence.new_document or document
        match = re.fullmatch(pattern, sentence.name)
        yield document or (match[1] if match else sentence.name), sentence


def _join_sentences(name: str, sentences: list[Sentence]) -> TextRow:
    """Return a document: sentences are joined by spaces, paragraphs by line ends."""
    text, words, stops = "", [], []
    separator = ""
    for sentence in sentences:
        text += "\n" if text and sentence.new_paragraph else separator
        sentence_text = sentence.text or spelled(sentence.tokens)
        try:
            words += place_words(sentence.tokens, sentence_text, len(text))
        except AnnotationError as error:
            return TextRow(text + sentence_text, group=name, extra=Document([], [], f"{sentence.name}: {error}"))
        text += sentence_text
        stops.append(len(text.rstrip()))
        separator = " " if sentence.tokens and sentence.tokens[-1].space_after else ""
    return TextRow(text, group=name, extra=Document(words, stops, ""))


def spelled(tokens: Iterable[SurfaceToken]) -> str:
    """Return the text that tokens and the spaces after them spell."""
    return "".join(token.form + " " * token.space_after for token in tokens).rstrip()


def place_words(tokens: Iterable[SurfaceToken], text: str, offset: int = 0) -> list[PlacedWord]:
    """Find the characters of each word in the text of its sentence.

    The words of a multi-word token are placed one after the other if they spell it (*do* and *n't*). If they
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
        When the tokens, without white space, do not spell the text.
    """
    placed_words, place = [], 0
    for token in tokens:
        place = len(text) - len(text[place:].lstrip())
        if not text.startswith(token.form, place):
            raise AnnotationError(f"the text has {text[place : place + 20]!r} where the token {token.form!r} should be")
        if "".join(word.form for word in token.words) == token.form:
            start = offset + place
            for word in token.words:
                stop = start + len(word.form)
                placed_words.append(PlacedWord(start, stop, word.upos, word.deprel, word.feats))
                start = stop
        place += len(token.form)
    if rest := text[place:].strip():
        raise AnnotationError(f"the text continues with {rest[:20]!r} after the last token")
    return placed_words
