"""Tokenize texts, and annotate every token with a function of a collection, in several processes."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from tqdm import tqdm

from probing_datasets.building.tokenization import token_ids, token_spans
from probing_datasets.foundation.errors import AnnotationError, DatasetError
from probing_datasets.sources.text_rows import TextRow

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

BATCH_CHARACTERS = 500_000
"""Size of the batches of texts that a process gets; it bounds the memory for texts of any length."""

Annotator = Callable[[TextRow, np.ndarray], np.ndarray]
"""From a text and the spans of its m tokens ((m, 2) int32, see `alignment`) to one value a token, (m,) or (m, columns).

It runs in other processes, so it must be a function of a module, or a `functools.partial` of one. It raises
`AnnotationError` for a text that cannot be parsed.
"""


class AnnotatedText(NamedTuple):
    """The tokens of one text."""

    ids: np.ndarray
    """(m,) int32."""
    values: np.ndarray | None = None
    """(m,) or (m, columns), the annotations."""
    failure: str = ""
    """Why the text could not be annotated."""


def annotate_texts(
    tokenizer: PreTrainedTokenizerFast, rows: list[TextRow], annotate: Annotator | None, num_proc: int
) -> Iterator[AnnotatedText]:
    """Yield the tokens of each text in order; the result does not depend on the number of processes.

    Raises
    ------
    DatasetError
        When the annotator does not return one value for each token.
    """
    with (
        _ordered_map(partial(annotate_batch, tokenizer, annotate), num_proc) as map_batches,
        tqdm(total=len(rows), desc="tokenizing", unit=" texts", disable=None) as bar,
    ):
        for batch in map_batches(_batches(rows)):
            yield from batch
            bar.update(len(batch))


def annotate_batch(
    tokenizer: PreTrainedTokenizerFast, annotate: Annotator | None, rows: list[TextRow]
) -> list[AnnotatedText]:
    """Tokenize and annotate the texts of one batch."""
    texts = [row.text for row in rows]
    if annotate is None:
        return [AnnotatedText(ids) for ids in token_ids(tokenizer, texts)]
    annotated_texts = []
    for row, (ids, spans) in zip(rows, token_spans(tokenizer, texts), strict=True):
        try:
            values = annotate(row, spans)
        except AnnotationError as error:
            annotated_texts.append(AnnotatedText(ids, failure=str(error)))
            continue
        if len(values) != len(ids):
            raise DatasetError(f"The annotator gave {len(values)} values for {len(ids)} tokens of group {row.group}.")
        annotated_texts.append(AnnotatedText(ids, values))
    return annotated_texts


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
def _ordered_map(function: Callable, num_proc: int) -> Iterator[Callable]:
    """Yield a lazy map that keeps the order; it uses other processes if ``num_proc`` is more than one."""
    if num_proc == 1:
        yield partial(map, function)
        return
    # Spawned, not forked: a fork of a process with running threads (those of tokenizers) may hang.
    with multiprocessing.get_context("spawn").Pool(num_proc, _set_batch_function, (function,)) as pool:
        yield partial(pool.imap, _call_batch_function)


_batch_function: list[Callable] = []


def _set_batch_function(function: Callable) -> None:
    """Store the function in a worker process, so that the tokenizer in it is sent only once."""
    _batch_function[:] = [function]


def _call_batch_function(batch: list[TextRow]) -> list[AnnotatedText]:
    return _batch_function[0](batch)
