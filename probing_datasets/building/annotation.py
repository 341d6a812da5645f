"""Texts tokenized, and every token annotated by a function of its collection, in several processes."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import NamedTuple

import numpy as np
from tqdm import tqdm
from transformers import PreTrainedTokenizerFast

from probing_datasets.building.sources import TextRow
from probing_datasets.building.tokenization import token_ids, token_spans
from probing_datasets.foundation.errors import AnnotationError, DatasetError

BATCH_CHARACTERS = 500_000
"""Texts are handed to a process in batches of about this size, which bounds memory whatever their lengths."""

Annotator = Callable[[TextRow, np.ndarray], np.ndarray]
"""From a text and the spans of its m tokens ((m, 2) int32, see `alignment`) to one value a token, (m,) or (m, columns).

It runs in other processes: a function of a module, or a `functools.partial` of one. It raises
`AnnotationError` for a text that cannot be parsed.
"""


class AnnotatedText(NamedTuple):
    """The tokens of one text."""

    ids: np.ndarray
    """(m,) int32."""
    values: np.ndarray | None = None
    """(m,) or (m, columns), what the annotator said."""
    problem: str = ""
    """Why the text could not be annotated."""


def annotate_texts(
    tokenizer: PreTrainedTokenizerFast, rows: list[TextRow], annotate: Annotator | None, num_proc: int
) -> Iterator[AnnotatedText]:
    """Yield the tokens of each text in order; the number of processes does not change them.

    Raises
    ------
    DatasetError
        When the annotator returns other than one value a token.
    """
    with (
        _mapping(partial(annotate_batch, tokenizer, annotate), num_proc) as mapping,
        tqdm(total=len(rows), desc="tokenizing", unit=" texts", disable=None) as bar,
    ):
        for batch in mapping(_batches(rows)):
            yield from batch
            bar.update(len(batch))


def annotate_batch(
    tokenizer: PreTrainedTokenizerFast, annotate: Annotator | None, rows: list[TextRow]
) -> list[AnnotatedText]:
    """Tokenize and annotate a few texts."""
    texts = [row.text for row in rows]
    if annotate is None:
        return [AnnotatedText(ids) for ids in token_ids(tokenizer, texts)]
    encoded = token_spans(tokenizer, texts)
    return [_annotated(row, ids, spans, annotate) for row, (ids, spans) in zip(rows, encoded, strict=True)]


def _annotated(row: TextRow, ids: np.ndarray, spans: np.ndarray, annotate: Annotator) -> AnnotatedText:
    try:
        values = annotate(row, spans)
    except AnnotationError as error:
        return AnnotatedText(ids, problem=str(error))
    if len(values) != len(ids):
        raise DatasetError(f"The annotator gave {len(values)} values for {len(ids)} tokens of group {row.group}.")
    return AnnotatedText(ids, values)


def _batches(rows: list[TextRow]) -> Iterator[list[TextRow]]:
    batch, size = [], 0
    for row in rows:
        batch.append(row)
        size += len(row.text)
        if size >= BATCH_CHARACTERS:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


@contextmanager
def _mapping(function: Callable, num_proc: int) -> Iterator[Callable]:
    """Yield a lazy map that keeps the order, over processes where there are several."""
    if num_proc == 1:
        yield partial(map, function)
        return
    # Not forked: a fork beside running threads (those of tokenizers) may hang.
    with multiprocessing.get_context("spawn").Pool(num_proc, _keep, (function,)) as pool:
        yield partial(pool.imap, _apply_kept)


_kept: list[Callable] = []


def _keep(function: Callable) -> None:
    """Keep in a process what all its batches need, so that the tokenizer is sent once."""
    _kept[:] = [function]


def _apply_kept(batch: list[TextRow]) -> list[AnnotatedText]:
    return _kept[0](batch)
