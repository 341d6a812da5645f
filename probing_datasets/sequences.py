"""From labelled texts to token sequences: bounded random sampling, tokenization, chunks."""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from tqdm import tqdm
from transformers import PreTrainedTokenizerFast

from probing_datasets.config import MakeConfig
from probing_datasets.feature_dataset import Description
from probing_datasets.foundation.errors import SettingsError, SourceError
from probing_datasets.foundation.provenance import provenance
from probing_datasets.model_names import model_slug
from probing_datasets.sampling import subsample_evenly
from probing_datasets.sources import SourceColumns, TextRow, digest_rows, read_source
from probing_datasets.tokenization import (
    SpecialFrame,
    load_tokenizer,
    special_frame,
    tokenize_in_chunks,
    tokenizer_hash,
)

MAX_DEFAULT_CONTEXT = 512
TOKENIZER_BATCH = 256


@dataclass(frozen=True)
class LabelledSequences:
    """Token sequences, each with the label and the group of its text."""

    tokenizer: PreTrainedTokenizerFast
    frame: SpecialFrame
    context_length: int
    tokens: list[np.ndarray]
    labels: np.ndarray
    """(n,) str."""
    groups: list[str]
    source_digest: str
    dropped: tuple[str, ...]

    def select(self, keep: np.ndarray, dropped: tuple[str, ...] = ()) -> LabelledSequences:
        """Return the sequences at the given indices, with further notes on what was left out."""
        return LabelledSequences(
            self.tokenizer,
            self.frame,
            self.context_length,
            [self.tokens[i] for i in keep],
            self.labels[keep],
            [self.groups[i] for i in keep],
            self.source_digest,
            self.dropped + dropped,
        )


def make_sequences(config: MakeConfig, label_column: str) -> LabelledSequences:
    """Read the source of a configuration and cut it into token sequences.

    Parameters
    ----------
    config : MakeConfig
        Settings.
    label_column : str
        Column of the label; empty when the collection needs none.

    Raises
    ------
    SourceError
        When the source cannot be read, or has no text that is long enough.
    """
    tokenizer = load_tokenizer(config.tokenizer, config.revision)
    frame = special_frame(tokenizer, config.prepend_bos)
    context = _context_length(config, tokenizer, frame)
    columns = SourceColumns(config.text_column, label_column, config.group_column)
    rows = read_source(config.source, config.collection, columns, config.source_split)
    texts, n_read = sample_texts(rows, config.texts_per_label, config.seed)
    if not texts:
        raise SourceError(f"{config.source} holds no text.")
    rng = np.random.default_rng(config.seed)
    tokens, origin, n_short = _cut(config, tokenizer, frame, texts, context, rng)
    if not tokens:
        raise SourceError(f"{config.source} holds no text of {config.min_tokens} tokens or more (--min_tokens).")
    dropped = _left_out(n_read - len(texts), n_short, config)
    labels = np.array([texts[i].label for i in origin])
    sequences = LabelledSequences(
        tokenizer,
        frame,
        context,
        tokens,
        labels,
        [texts[i].group for i in origin],
        digest_rows(texts),
        dropped,
    )
    if 0 <= config.n_sequences < len(tokens):
        sequences = sequences.select(subsample_evenly(labels, config.n_sequences, rng))
    return sequences


def sample_texts(rows: Iterable[TextRow], per_label: int, seed: int) -> tuple[list[TextRow], int]:
    """Keep at most ``per_label`` texts of each label from a stream, and count what was read.

    The texts with the smallest hashes of (seed, index, text) are kept, in the order in which
    they were read: a uniform sample, the same for the same stream, in bounded memory.
    """
    heaps: dict[str, list[tuple[int, int, TextRow]]] = {}
    n_read = 0
    for index, row in enumerate(tqdm(rows, desc="reading texts", unit=" texts", disable=None)):
        n_read += 1
        heap = heaps.setdefault(row.label, [])
        key = f"{seed} {index} ".encode() + row.text[:1000].encode("utf-8", errors="surrogatepass")
        entry = (-int.from_bytes(hashlib.blake2b(key, digest_size=8).digest(), "big"), index, row)
        if len(heap) < per_label:
            heapq.heappush(heap, entry)
        else:
            heapq.heappushpop(heap, entry)
    kept = sorted(entry[1:] for heap in heaps.values() for entry in heap)
    return [row for _, row in kept], n_read


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


def _context_length(config: MakeConfig, tokenizer: PreTrainedTokenizerFast, frame: SpecialFrame) -> int:
    default = min(MAX_DEFAULT_CONTEXT, tokenizer.model_max_length)
    length = default if config.context_length is None else config.context_length
    if length < frame.size + 1:
        raise SettingsError(f"--context_length {length} leaves no room beside {frame.size} special tokens.")
    return int(length)


def _cut(
    config: MakeConfig,
    tokenizer: PreTrainedTokenizerFast,
    frame: SpecialFrame,
    texts: list[TextRow],
    context: int,
    rng: np.random.Generator,
) -> tuple[list[np.ndarray], np.ndarray, int]:
    tokens: list[np.ndarray] = []
    origin: list[int] = []
    n_short = 0
    for start in tqdm(range(0, len(texts), TOKENIZER_BATCH), desc="tokenizing", unit=" batches", disable=None):
        batch = [row.text for row in texts[start : start + TOKENIZER_BATCH]]
        for index, chunks in enumerate(tokenize_in_chunks(tokenizer, frame, batch, context), start):
            long_enough = [c for c in chunks if len(c) - frame.size >= config.min_tokens]
            n_short += not long_enough
            size = min(config.sequences_per_text, len(long_enough))
            chosen = np.sort(rng.choice(len(long_enough), size, replace=False)) if size else []
            tokens += [long_enough[i] for i in chosen]
            origin += [index] * size
    return tokens, np.array(origin, dtype=np.int64), n_short


def _left_out(n_unsampled: int, n_short: int, config: MakeConfig) -> tuple[str, ...]:
    notes = []
    if n_unsampled:
        notes.append(f"{n_unsampled:,} texts beyond --texts_per_label {config.texts_per_label} were not drawn.")
    if n_short:
        notes.append(f"{n_short:,} texts are shorter than --min_tokens {config.min_tokens}.")
    return tuple(notes)
