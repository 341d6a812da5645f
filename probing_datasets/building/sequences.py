"""From texts to token sequences: tokenized, annotated, and cut to the context of the model."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
import xxhash
from transformers import PreTrainedTokenizerFast

from probing_datasets.building.annotation import AnnotatedText, Annotator, annotate_texts
from probing_datasets.building.row_sampling import subsample_evenly
from probing_datasets.building.sources import TextRow
from probing_datasets.building.text_sampling import Texts
from probing_datasets.building.tokenization import SpecialFrame, load_tokenizer, special_frame, tokenizer_hash
from probing_datasets.feature_dataset import Description
from probing_datasets.foundation.errors import SettingsError, SourceError
from probing_datasets.foundation.provenance import provenance
from probing_datasets.make_config import MakeConfig
from probing_datasets.model_names import model_slug

MAX_DEFAULT_CONTEXT = 512
NAMED_PROBLEMS = 3
"""Texts that could not be parsed are named up to this number."""


class OpenTokenizer(NamedTuple):
    """A tokenizer and the frame of its sequences."""

    tokenizer: PreTrainedTokenizerFast
    frame: SpecialFrame
    context_length: int


@dataclass(frozen=True)
class LabelledSequences:
    """Token sequences, each with the label and the group of its text."""

    tokenizer: PreTrainedTokenizerFast
    frame: SpecialFrame
    context_length: int
    tokens: list[np.ndarray]
    """(length,) int32 each, special tokens included."""
    labels: np.ndarray
    """(n,) str."""
    groups: list[str]
    source_digest: str
    dropped: tuple[str, ...]
    texts: list[TextRow] = field(default_factory=list)
    origin: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    """(n,) int64: index into ``texts`` of the text that a sequence was cut from."""
    annotations: list[np.ndarray] = field(default_factory=list)
    """(length,) or (length, columns) each: what the annotator said of every token, zero for special tokens."""

    @property
    def lengths(self) -> np.ndarray:
        """(n,) int64: tokens of each sequence, special ones counted."""
        return np.array([len(tokens) for tokens in self.tokens], np.int64)

    def select(self, keep: np.ndarray, dropped: tuple[str, ...] = ()) -> LabelledSequences:
        """Return the sequences at the given indices, with further notes on what was left out."""
        return replace(
            self,
            tokens=[self.tokens[i] for i in keep],
            labels=self.labels[keep],
            groups=[self.groups[i] for i in keep],
            dropped=self.dropped + dropped,
            origin=self.origin[keep] if len(self.origin) else self.origin,
            annotations=[self.annotations[i] for i in keep] if self.annotations else [],
        )


def is_copy(tokens: list[np.ndarray], groups: list[str]) -> np.ndarray:
    """Return which sequences have the tokens of an earlier one of another group: (n,) bool."""
    first_group: dict[bytes, str] = {}
    digests = (xxhash.xxh3_128_digest(sequence.tobytes()) for sequence in tokens)
    return np.array([first_group.setdefault(d, group) != group for d, group in zip(digests, groups, strict=True)], bool)


class _Piece(NamedTuple):
    """A stretch of a text that becomes a sequence."""

    text: int
    ids: np.ndarray
    values: np.ndarray | None


def open_tokenizer(config: MakeConfig) -> OpenTokenizer:
    """Load the tokenizer of a configuration, and decide the context length.

    Raises
    ------
    ModelError
        When there is no such tokenizer.
    SettingsError
        When the context has no room for text.
    """
    tokenizer = load_tokenizer(config.tokenizer, config.revision)
    frame = special_frame(tokenizer, config.prepend_bos)
    default = min(MAX_DEFAULT_CONTEXT, tokenizer.model_max_length)
    length = int(default if config.context_length is None else config.context_length)
    if length < frame.size + 1:
        raise SettingsError(f"--context_length {length} leaves no room beside {frame.size} special tokens.")
    return OpenTokenizer(tokenizer, frame, length)


def cut_texts(config: MakeConfig, texts: Texts, annotate: Annotator | None = None) -> LabelledSequences:
    """Tokenize texts, annotate their tokens, and cut them into sequences.

    Parameters
    ----------
    config : MakeConfig
        Of a text longer than the context, ``sequences_per_text`` pieces are drawn, and of all sequences
        ``n_sequences``, evenly over labels.
    texts : Texts
    annotate : Annotator, optional
        Says something of every token of a text, before the text is cut.

    Raises
    ------
    SourceError
        When no text is long enough and can be annotated.
    """
    opened = open_tokenizer(config)
    rng = np.random.default_rng(config.seed)
    pieces: list[_Piece] = []
    problems: list[str] = []
    n_short = 0
    annotated = annotate_texts(opened.tokenizer, texts.rows, annotate, config.num_proc)
    for index, text in enumerate(annotated):
        if text.problem:
            problems.append(f"{texts.rows[index].group}: {text.problem}")
            continue
        drawn = list(_draw_pieces(config, index, text, opened.context_length - opened.frame.size, rng))
        n_short += not drawn
        pieces += drawn
    notes = _left_out(n_short, problems, config)
    if not pieces:
        raise SourceError(
            f"{config.source} holds no text of {config.min_tokens} tokens or more (--min_tokens). {' '.join(notes)}"
        )
    sequences = _sequences(opened, replace(texts, dropped=texts.dropped + notes), pieces)
    if 0 <= config.n_sequences < len(pieces):
        sequences = sequences.select(subsample_evenly(sequences.labels, config.n_sequences, rng))
    return sequences


def _draw_pieces(
    config: MakeConfig, index: int, text: AnnotatedText, room: int, rng: np.random.Generator
) -> Iterator[_Piece]:
    starts = np.arange(0, len(text.ids), room)
    starts = starts[np.minimum(len(text.ids) - starts, room) >= config.min_tokens]
    size = min(config.sequences_per_text, len(starts))
    if size:
        for start in np.sort(rng.choice(len(starts), size, replace=False)) * room:
            stretch = slice(start, start + room)
            # Copied: a view would keep all of a long text in memory.
            values = None if text.values is None else text.values[stretch].copy()
            yield _Piece(index, text.ids[stretch].copy(), values)


def _sequences(opened: OpenTokenizer, texts: Texts, pieces: list[_Piece]) -> LabelledSequences:
    frame = opened.frame
    origin = np.array([piece.text for piece in pieces], np.int64)
    return LabelledSequences(
        *opened,
        tokens=[frame.around(piece.ids) for piece in pieces],
        labels=np.array([texts.rows[i].label for i in origin]),
        groups=[texts.rows[i].group for i in origin],
        source_digest=texts.digest,
        dropped=texts.dropped,
        texts=texts.rows,
        origin=origin,
        annotations=[_framed(piece.values, frame) for piece in pieces if piece.values is not None],
    )


def _framed(values: np.ndarray, frame: SpecialFrame) -> np.ndarray:
    around = [(len(frame.prefix), len(frame.suffix)), *[(0, 0)] * (values.ndim - 1)]
    return np.pad(values, around)


def _left_out(n_short: int, problems: list[str], config: MakeConfig) -> tuple[str, ...]:
    notes = []
    if n_short:
        notes.append(f"{n_short:,} texts are shorter than --min_tokens {config.min_tokens}.")
    if problems:
        more = ", ..." if len(problems) > NAMED_PROBLEMS else ""
        notes.append(f"{len(problems):,} texts could not be parsed ({'; '.join(problems[:NAMED_PROBLEMS])}{more}).")
    return tuple(notes)


def describe_sequences(config: MakeConfig, sequences: LabelledSequences) -> Description:
    """Return the description of a data set made of these sequences; features are filled in later."""
    tokenizer = model_slug(config.tokenizer)
    return Description(
        name=f"{config.collection}.{tokenizer}.{sequences.context_length}.{config.n_sequences}",
        collection=config.collection,
        tokenizer=config.tokenizer,
        tokenizer_hash=tokenizer_hash(sequences.tokenizer),
        context_length=sequences.context_length,
        n_prefix=len(sequences.frame.prefix),
        n_suffix=len(sequences.frame.suffix),
        seed=config.seed,
        source={"name": config.source, "licence": config.licence, "digest": sequences.source_digest},
        options=config.options(),
        dropped=sequences.dropped,
        provenance=provenance(),
    )
