"""Read the texts of a data set from its source, and draw a random sample of them in bounded memory."""

from __future__ import annotations

import hashlib
import heapq
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from tqdm import tqdm

from probing_datasets.building.tokenization import MAX_CHARACTERS
from probing_datasets.foundation.errors import SourceError
from probing_datasets.make_config import MakeConfig
from probing_datasets.sources.read_source import read_source
from probing_datasets.sources.table_files import ReadOptions
from probing_datasets.sources.text_rows import SourceColumns, TextRow, digest_rows


@dataclass(frozen=True)
class Texts:
    """Texts that were drawn from a source."""

    rows: list[TextRow]
    digest: str
    """SHA-256 (hex) of the rows."""
    dropped: tuple[str, ...] = ()
    """One sentence for each kind of text that was dropped."""


def read_texts(config: MakeConfig, label_column: str = "", further: tuple[str, ...] = ()) -> Texts:
    """Draw texts from the source of a configuration.

    Parameters
    ----------
    config : MakeConfig
    label_column : str
        Column of the label; empty when the collection needs none.
    further : tuple of str
        Columns whose values become ``TextRow.extra``.

    Raises
    ------
    SourceError
        When the source cannot be read, a column is missing, or there is no text.
    """
    columns = SourceColumns(
        config.text_column, label_column, config.group_column, further, missing=config.missing_labels
    )
    skipped: Counter[str] = Counter()
    rows = read_source(config.source, config.collection, columns, read_options(config), skipped)
    return draw_texts(config, rows, skipped)


def read_options(config: MakeConfig) -> ReadOptions:
    """Return how the source of a configuration is read."""
    return ReadOptions(config.source_split, config.separator, config.encoding)


def draw_texts(config: MakeConfig, rows: Iterable[TextRow], skipped: Counter[str] | None = None) -> Texts:
    """Draw at most ``texts_per_label`` texts of each label from a stream of rows.

    Parameters
    ----------
    config : MakeConfig
    rows : iterable of TextRow
        Read once; only the drawn rows stay in memory.
    skipped : Counter, optional
        Number of rows that the reader skips, by reason; complete once ``rows`` is read to its end.

    Raises
    ------
    SourceError
        When there is no text.
    """
    texts, n_read = sample_texts(rows, config.texts_per_label, config.seed)
    if not texts:
        raise SourceError(f"{config.source_name} holds no text. {_sentences(skipped or Counter())}".rstrip())
    notes = [_sentences(skipped)] if skipped else []
    if n_read > len(texts):
        notes.append(f"{n_read - len(texts):,} texts beyond --texts_per_label {config.texts_per_label} were not drawn.")
    n_cut = sum(len(row.text) > MAX_CHARACTERS for row in texts)
    if n_cut:
        notes.append(f"{n_cut:,} texts were cut after {MAX_CHARACTERS:,} characters.")
        texts = [row._replace(text=row.text[:MAX_CHARACTERS]) for row in texts]
    return Texts(texts, digest_rows(texts), tuple(notes))


def sample_texts(rows: Iterable[TextRow], per_label: int, seed: int) -> tuple[list[TextRow], int]:
    """Draw at most ``per_label`` texts of each label from a stream, and count all that were read.

    The sample is the texts with the smallest hashes of (seed, index, text), in the order in which
    they were read. It is uniform, the same for the same stream, and needs bounded memory: a text that
    is too long is cut to one character more than will be used.
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
    sample = sorted((entry[1:] for heap in heaps.values() for entry in heap), key=lambda entry: entry[0])
    return [row for _, row in sample], n_read


def _sentences(skipped: Counter[str]) -> str:
    return " ".join(f"{n:,} {reason}." for reason, n in skipped.items())
