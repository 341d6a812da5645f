"""Sentences of a treebank: CoNLL-U files, or a table with one row per sentence.

A CoNLL-U file holds more than a table: paragraphs, spaces, and the words of a multi-word token
(Spanish *dámelo*). Empty nodes, which are words that a sentence only implies, are skipped.

References
----------
de Marneffe, Manning, Nivre, Zeman, "Universal Dependencies", Computational Linguistics 47(2), 2021;
the format is described at https://universaldependencies.org/format.html.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import conllu
from conllu.exceptions import ParseException
from conllu.models import TokenList
from conllu.parser import DEFAULT_FIELDS, parse_dict_value

from probing_datasets.foundation.errors import SourceError, first_line
from probing_datasets.foundation.files.text_files import READ_ERRORS, name_without_compression, open_text, unreadable
from probing_datasets.sources.read_source import read_source
from probing_datasets.sources.table_files import PLAIN, ReadOptions
from probing_datasets.sources.text_rows import SourceColumns

CONLLU_SUFFIX = ".conllu"

TABLE_COLUMNS = SourceColumns("text", "", "", ("idx", "tokens", "lemmas", "upos", "feats", "deprel"))
"""Columns of the data set `universal_dependencies` on the hub."""

HUB_UPOS = (
    *("NOUN", "PUNCT", "ADP", "NUM", "SYM", "SCONJ", "ADJ", "PART", "DET"),
    *("CCONJ", "PROPN", "PRON", "X", "_", "ADV", "INTJ", "VERB", "AUX"),
)
"""Part of speech of each number in that data set."""


class Word(NamedTuple):
    """A syntactic word and its annotations."""

    form: str
    upos: str
    deprel: str
    feats: dict[str, str]


class SurfaceToken(NamedTuple):
    """A token of the text, and its words: one, or several for a multi-word token."""

    form: str
    words: tuple[Word, ...]
    space_after: bool = True


class Sentence(NamedTuple):
    """A sentence of a treebank."""

    name: str
    text: str
    """As written; empty if the treebank does not have it."""
    tokens: tuple[SurfaceToken, ...]
    new_document: str | None = None
    """Name of the document that begins here, if the treebank marks one."""
    new_paragraph: bool = False


def read_sentences(source: str | tuple[str, ...], options: ReadOptions = PLAIN) -> Iterator[Sentence]:
    """Stream the sentences of a treebank.

    Parameters
    ----------
    source : str or tuple of str
        A ``.conllu`` file, which may be compressed, a folder of such files, or a table or hub data set with the
        columns of `TABLE_COLUMNS`; or several.
    options : ReadOptions

    Raises
    ------
    SourceError
        When the source does not exist, or is not in one of these formats.
    """
    if isinstance(source, tuple):
        return chain.from_iterable([read_sentences(one, options) for one in source])
    path = Path(source).expanduser()
    files = sorted(file for file in path.iterdir() if _is_conllu(file)) if path.is_dir() else [path]
    if not files:
        raise SourceError(f"{path} holds no {CONLLU_SUFFIX} file. Check --source.")
    if all(map(_is_conllu, files)):
        return (sentence for file in files for sentence in _read_conllu(file, options.encoding))
    return (_table_sentence(row.text, *row.extra) for row in read_source(source, "ewt", TABLE_COLUMNS, options))


def _is_conllu(path: Path) -> bool:
    return name_without_compression(path).suffix.lower() == CONLLU_SUFFIX


def _read_conllu(path: Path, encoding: str) -> Iterator[Sentence]:
    try:
        with open_text(path, encoding) as file:
            for number, sentence in enumerate(conllu.parse_incr(file), 1):
                yield _conllu_sentence(sentence, f"sentence {number} of {path.name}")
    except ParseException as error:
        raise SourceError(f"{path} cannot be read as CoNLL-U: {first_line(error)}") from error
    except READ_ERRORS as error:
        raise unreadable(path, error) from error


def _conllu_sentence(sentence: TokenList, default_name: str) -> Sentence:
    metadata = sentence.metadata
    name = metadata.get("sent_id") or default_name
    if short := [token for token in sentence if len(token) < len(DEFAULT_FIELDS)]:
        raise ParseException(f"{name}: the line of {short[0].get('form')!r} has fewer than ten columns")
    begins_document = "newdoc" in metadata or "newdoc id" in metadata
    return Sentence(
        name,
        metadata.get("text") or "",
        tuple(_surface_tokens(sentence)),
        (metadata.get("newdoc id") or name) if begins_document else None,
        "newpar" in metadata or "newpar id" in metadata,
    )


def _surface_tokens(sentence: TokenList) -> Iterator[SurfaceToken]:
    """Yield single words, and multi-word tokens with the words in their range (identifiers such as 3-4)."""
    words: dict[int, Word] = {}
    for token in sentence:
        if isinstance(token["id"], int):
            feats = {name: value or "" for name, value in (token["feats"] or {}).items()}
            words[token["id"]] = Word(token["form"], token["upos"] or "_", token["deprel"] or "_", feats)
    covered_to = 0
    for token in sentence:
        number = token["id"]
        space_after = (token["misc"] or {}).get("SpaceAfter") != "No"
        if isinstance(number, int):
            if number > covered_to:
                yield SurfaceToken(token["form"], (words[number],), space_after)
        elif number[1] == "-":
            covered_to = number[2]
            parts = tuple(words[i] for i in range(number[0], covered_to + 1) if i in words)
            yield SurfaceToken(token["form"], parts, space_after)


def _table_sentence(text: str, name: Any, *columns: Iterable[Any]) -> Sentence:
    """Read a row of a table; a multi-word token has no lemma in it, and its words follow it."""
    tokens = []
    for form, lemma, upos, feats, deprel in zip(*columns, strict=True):
        if lemma != "_" or form == "_":
            upos_name = HUB_UPOS[upos] if isinstance(upos, int) else upos
            tokens.append(SurfaceToken(form, (Word(form, upos_name, deprel or "_", _feats(feats)),)))
    return Sentence(str(name), text, tuple(tokens))


def _feats(feats: str | None) -> dict[str, str]:
    """Read ``Number=Sing|Person=3``, or the form of the hub data set: ``{'Number': 'Sing', ...}``."""
    plain = (feats or "_").strip("{}").replace("'", "").replace(": ", "=").replace(", ", "|")
    pairs = parse_dict_value(plain) if plain != "None" else None
    return {name: value or "" for name, value in (pairs or {}).items()}
