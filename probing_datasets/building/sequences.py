"""Tokenize and annotate texts, and cut them into token sequences that fit the context of the model."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from probing_datasets.building.annotation import AnnotatedText, Annotator, annotate_texts
from probing_datasets.building.row_sampling import subsample_evenly
from probing_datasets.building.text_sampling import Texts
from probing_datasets.building.tokenization import SpecialFrame, load_tokenizer, special_frame, tokenizer_hash
from probing_datasets.feature_dataset import Description
from probing_datasets.feature_dataset.description import dataset_name
from probing_datasets.foundation.errors import SettingsError, SourceError
from probing_datasets.foundation.provenance import provenance
from probing_datasets.make_config import MakeConfig
from probing_datasets.sources.text_rows import TextRow

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

MAX_DEFAULT_CONTEXT = 512
NAMED_FAILURES = 3
"""At most this many of the texts that could not be parsed are named."""


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
    """(length,) or (length, columns) each: annotation of every token, zero for special tokens."""

    @property
    def lengths(self) -> np.ndarray:
        """(n,) int64: tokens of each sequence, special ones counted."""
        return np.array([len(tokens) for tokens in self.tokens], np.int64)

    def select(self, indices: np.ndarray, dropped: tuple[str, ...] = ()) -> LabelledSequences:
        """Return the sequences at the given indices, with further notes on what was dropped."""
        return replace(
            self,
            tokens=[self.tokens[i] for i in indices],
            labels=self.labels[indices],
            groups=[self.groups[i] for i in indices],
            dropped=self.dropped + dropped,
            origin=self.origin[indices] if len(self.origin) else self.origin,
            annotations=[self.annotations[i] for i in indices] if self.annotations else [],
        )


class Piece(NamedTuple):
    """A part of a text that becomes a sequence."""

    text: int
    """Index of the text."""
    ids: np.ndarray
    """(m,) int32."""
    values: np.ndarray | None
    """(m,) or (m, columns), the annotations."""


def open_tokenizer(config: MakeConfig) -> OpenTokenizer:
    """Load the tokenizer of a configuration, and choose the context length.

    Raises
    ------
    ModelError
        When there is no such tokenizer.
    SettingsError
        When the context has no room for text.
    """
    tokenizer = load_tokenizer(config.tokenizer, config.revision, config.trust_remote_code)
    frame = special_frame(tokenizer, config.prepend_bos)
    default = min(MAX_DEFAULT_CONTEXT, tokenizer.model_max_length)
    length = int(default if config.context_length is None else config.context_length)
    if length < frame.size + 1:
        raise SettingsError(f"--context_length {length} leaves no room for text: {frame.size} tokens are special.")
    return OpenTokenizer(tokenizer, frame, length)


def cut_texts(config: MakeConfig, texts: Texts, annotate: Annotator | None = None) -> LabelledSequences:
    """Tokenize texts, annotate their tokens, and cut them into sequences.

    Parameters
    ----------
    config : MakeConfig
        ``sequences_per_text`` pieces are drawn of a text that is longer than the context, and ``n_sequences``
        of all sequences, evenly over labels.
    texts : Texts
    annotate : Annotator, optional
        Annotates every token of a text, before the text is cut.

    Raises
    ------
    SourceError
        When no text is long enough and can be annotated.
    """
    opened = open_tokenizer(config)
    frame, room = opened.frame, opened.context_length - opened.frame.size
    rng = np.random.default_rng(config.seed)

    # Tokenize and annotate; draw pieces of each text.
    pieces: list[Piece] = []
    failures: list[str] = []
    n_short = 0
    annotated_texts = annotate_texts(opened.tokenizer, texts.rows, annotate, config.num_proc)
    for index, text in enumerate(annotated_texts):
        if text.failure:
            failures.append(f"{texts.rows[index].group}: {text.failure}")
            continue
        pieces_of_text = draw_pieces(config, index, text, room, rng)
        n_short += not pieces_of_text
        pieces += pieces_of_text

    # Count what is dropped.
    notes: tuple[str, ...] = ()
    if n_short:
        notes += (f"{n_short:,} texts are shorter than --min_tokens {config.min_tokens}.",)
    if failures:
        more = ", ..." if len(failures) > NAMED_FAILURES else ""
        notes += (f"{len(failures):,} texts could not be parsed ({'; '.join(failures[:NAMED_FAILURES])}{more}).",)
    if not pieces:
        raise SourceError(
            f"{config.source_name} holds no text of {config.min_tokens} tokens or more (--min_tokens). "
            + " ".join(notes)
        )

    # Add the special tokens, whose annotations are zero.
    origin = np.array([piece.text for piece in pieces], np.int64)
    annotations = []
    for piece in pieces:
        if piece.values is not None:
            n_around = [(len(frame.prefix), len(frame.suffix)), *[(0, 0)] * (piece.values.ndim - 1)]
            annotations.append(np.pad(piece.values, n_around))
    sequences = LabelledSequences(
        *opened,
        tokens=[frame.around(piece.ids) for piece in pieces],
        labels=np.array([texts.rows[i].label for i in origin]),
        groups=[texts.rows[i].group for i in origin],
        source_digest=texts.digest,
        dropped=texts.dropped + notes,
        texts=texts.rows,
        origin=origin,
        annotations=annotations,
    )
    if 0 <= config.n_sequences < len(pieces):
        sequences = sequences.select(subsample_evenly(sequences.labels, config.n_sequences, rng))
    return sequences


def draw_pieces(
    config: MakeConfig, index: int, text: AnnotatedText, room: int, rng: np.random.Generator
) -> list[Piece]:
    """Cut a text into pieces of ``room`` tokens, and draw at most ``sequences_per_text`` of them.

    A last piece of fewer than ``min_tokens`` tokens is not used.
    """
    starts = np.arange(0, len(text.ids), room)
    starts = starts[np.minimum(len(text.ids) - starts, room) >= config.min_tokens]
    size = min(config.sequences_per_text, len(starts))
    pieces = []
    if size:
        for start in np.sort(rng.choice(len(starts), size, replace=False)) * room:
            part = slice(start, start + room)
            # Copied: a view would keep all of a long text in memory.
            values = None if text.values is None else text.values[part].copy()
            pieces.append(Piece(index, text.ids[part].copy(), values))
    return pieces


def describe_sequences(config: MakeConfig, sequences: LabelledSequences) -> Description:
    """Return the description of a data set made of these sequences; features are filled in later."""
    return Description(
        name=dataset_name(config.name_stem, config.tokenizer, sequences.context_length, config.n_sequences),
        collection=config.collection,
        tokenizer=config.tokenizer,
        tokenizer_hash=tokenizer_hash(sequences.tokenizer),
        context_length=sequences.context_length,
        n_prefix=len(sequences.frame.prefix),
        n_suffix=len(sequences.frame.suffix),
        seed=config.seed,
        source={"name": config.source_name, "licence": config.licence, "digest": sequences.source_digest},
        options=config.options(),
        dropped=sequences.dropped,
        provenance=provenance(),
    )
