"""The texts behind a data set: read from its source, drawn at random in bounded memory."""

from __future__ import annotations

import hashlib
import heapq
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from tqdm import tqdm

from probing_datasets.building.sources import SourceColumns, TextRow, digest_rows, read_source
from probing_datasets.building.tokenization import MAX_CHARACTERS
from probing_datasets.foundation.errors import SourceError
from probing_datasets.make_config import MakeConfig


@dataclass(frozen=True)
class Texts:
    """Texts that were drawn from a source."""

    rows: list[TextRow]
    digest: str
    """SHA-256 (hex) of the rows."""
    dropped: tuple[str, ...] = ()
    """One sentence for each kind of text that was left out."""


def read_texts(config: MakeConfig, label_column: str = "", further: tuple[str, ...] = ()) -> Texts:
    """Draw texts from the source of a configuration.

    Parameters
    ----------
    config : MakeConfig
        Settings.
    label_column : str
        Column of the label; empty when the collection needs none.
    further : tuple of str
        Columns whose values arrive in ``TextRow.extra``.

    Raises
    ------
    SourceError
        When the source cannot be read, lacks a column, or has no text.
    """
    columns = SourceColumns(config.text_column, label_column, config.group_column, further)
    skipped: Counter[str] = Counter()
    rows = read_source(config.source, config.collection, columns, config.source_split, skipped)
    return draw_texts(config, rows, skipped)


def draw_texts(config: MakeConfig, rows: Iterable[TextRow], skipped: Counter[str] | None = None) -> Texts:
    """Draw at most ``texts_per_label`` texts of each label from a stream of rows.

    Parameters
    ----------
    config : MakeConfig
        Settings.
    rows : iterable of TextRow
        Read once, not held.
    skipped : Counter, optional
        What the reader passes over, by reason; looked at when ``rows`` has come to its end.

    Raises
    ------
    SourceError
        When there is no text.
    """
    kept, n_read = sample_texts(rows, config.texts_per_label, config.seed)
    if not kept:
        raise SourceError(f"{config.source} holds no text. {_sentences(skipped or Counter())}".rstrip())
    notes = [_sentences(skipped)] if skipped else []
    if n_read > len(kept):
        notes.append(f"{n_read - len(kept):,} texts beyond --texts_per_label {config.texts_per_label} were not drawn.")
    n_cut = sum(len(row.text) > MAX_CHARACTERS for row in kept)
    if n_cut:
        notes.append(f"{n_cut:,} texts were cut after {MAX_CHARACTERS:,} characters.")
        kept = [row._replace(text=row.text[:MAX_CHARACTERS]) for row in kept]
    return Texts(kept, digest_rows(kept), tuple(notes))


def sample_texts(rows: Iterable[TextRow], per_label: int, seed: int) -> tuple[list[TextRow], int]:
    """Keep at most ``per_label`` texts of each label from a stream, and count what was read.

    The texts with the smallest hashes of (seed, index, text) are kept, in the order in which
    they were read: a uniform sample, the same for the same stream, in bounded memory. Of a text that
    is too long, one character more than will be used is kept.
    """
    heaps: dict[str, list[tuple[int, int, TextRow]]] = {}
    n_read = 0
    for index, row in enumerate(tqdm(rows, desc="reading texts", unit=" texts", disable=None)):
        n_read += 1
        heap = heaps.setdefault(row.label, [])
        key = f"{seed} {index} ".encode() + row.text[:1000].encode("utf-8", errors="surrogatepass")
        rank = -int.from_bytes(hashlib.blake2b(key, digest_size=8).digest(), "big")
        if len(heap) == per_label and rank < heap[0][0]:
            continue
        entry = (rank, index, row._replace(text=row.text[: MAX_CHARACTERS + 1]))
        if len(heap) < per_label:
            heapq.heappush(heap, entry)
        else:
            heapq.heapreplace(heap, entry)
    kept = sorted((entry[1:] for heap in heaps.values() for entry in heap), key=lambda entry: entry[0])
    return [row for _, row in kept], n_read


def _sentences(skipped: Counter[str]) -> str:
    return " ".join(f"{n:,} {reason}." for reason, n in skipped.items())
