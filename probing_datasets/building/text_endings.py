"""Cut texts to their ends, for collections that probe the last token of a text."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from probing_datasets.building.annotation import AnnotatedText
from probing_datasets.building.row_sampling import subsample_evenly
from probing_datasets.building.sequences import LabelledSequences, OpenTokenizer
from probing_datasets.building.text_sampling import Texts
from probing_datasets.foundation.errors import SourceError
from probing_datasets.make_config import MakeConfig


def keep_ends(
    config: MakeConfig, opened: OpenTokenizer, texts: Texts, tokenized: Iterable[AnnotatedText]
) -> LabelledSequences:
    """Remove the beginning of texts that are longer than the context, and add special tokens.

    Parameters
    ----------
    config : MakeConfig
        Of all sequences ``n_sequences`` are drawn, evenly over labels.
    opened : OpenTokenizer
    texts : Texts
    tokenized : iterable of AnnotatedText
        The tokens of each text, without special tokens around it.

    Raises
    ------
    SourceError
        When no text is long enough.
    """
    room = opened.context_length - opened.frame.size
    ends = [(i, text.ids[-room:]) for i, text in enumerate(tokenized) if len(text.ids) >= config.min_tokens]
    if not ends:
        raise SourceError(f"{config.source_name} holds no text of {config.min_tokens} tokens or more (--min_tokens).")
    origin = np.array([i for i, _ in ends], np.int64)
    sequences = LabelledSequences(
        *opened,
        tokens=[opened.frame.around(ids) for _, ids in ends],
        labels=np.array([texts.rows[i].label for i in origin]),
        groups=[texts.rows[i].group for i in origin],
        source_digest=texts.digest,
        dropped=texts.dropped,
        texts=texts.rows,
        origin=origin,
    )
    if len(ends) < len(texts.rows):
        note = f"{len(texts.rows) - len(ends):,} texts are shorter than --min_tokens {config.min_tokens}."
        sequences = replace(sequences, dropped=(*texts.dropped, note))
    if 0 <= config.n_sequences < len(ends):
        drawn = subsample_evenly(sequences.labels, config.n_sequences, np.random.default_rng(config.seed))
        return sequences.select(drawn)
    return sequences
