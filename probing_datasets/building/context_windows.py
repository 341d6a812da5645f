"""Short contexts that end at the probed token, cut from running text at the tokens that a collection finds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from probing_datasets.building.annotation import Annotator, annotate_texts
from probing_datasets.building.assembly import Labels, assemble
from probing_datasets.building.candidate_positions import last_position
from probing_datasets.building.row_sampling import class_sizes, first_evenly
from probing_datasets.building.sequences import LabelledSequences, OpenTokenizer, open_tokenizer
from probing_datasets.building.text_sampling import Texts
from probing_datasets.feature_dataset import FeatureDataset
from probing_datasets.foundation.errors import DatasetError
from probing_datasets.make_config import MakeConfig

NOTHING, POSITIVE = 0, 1
"""Values of a finder for a token; larger numbers are kinds of negatives."""


@dataclass(frozen=True)
class Occurrences:
    """Tokens at which at least one feature is positive or negative."""

    text: np.ndarray
    """(n,) int64."""
    token: np.ndarray
    """(n,) int64, index into the tokens of the text."""
    kinds: np.ndarray
    """(n, features) int8."""
    ids: dict[int, np.ndarray]
    """Token ids of each text with such a token."""


def assemble_contexts(config: MakeConfig, texts: Texts, find: Annotator, features: Sequence[str]) -> FeatureDataset:
    """Cut contexts and build a data set with a binary feature for each column that ``find`` returns.

    Parameters
    ----------
    config : MakeConfig
        ``context_length`` tokens end at each probed one; ``rows_per_feature`` of them are drawn,
        ``positive_fraction`` positive, the kinds of negatives evenly.
    texts : Texts
    find : Annotator
        Returns (tokens, features) int8: nothing, positive, or a kind of negative.
    features : sequence of str
        Names of the columns.

    Raises
    ------
    DatasetError
        When nothing is found, or no feature has enough positives and negatives.
    """
    opened = open_tokenizer(config)
    occurrences = find_occurrences(config, opened, texts, find)
    if not len(occurrences.text):
        raise DatasetError(f"None of {', '.join(features)} occurs in {config.source_name}. Use more text.")

    # The rows of each feature: positives and each kind of negatives, by one random priority for all features.
    rng = np.random.default_rng(config.seed)
    priority = rng.permutation(len(occurrences.text))
    rows_of_features = []
    for kinds in occurrences.kinds.T:
        kind = kinds[priority]
        positives, negatives = priority[kind == POSITIVE], priority[kind > POSITIVE]
        sizes = class_sizes(len(positives), len(negatives), config.rows_per_feature, config.positive_fraction)
        rows_of_features.append(np.concatenate([positives[: sizes[0]], first_evenly(kinds, negatives, sizes[1])]))
    used = np.unique(np.concatenate(rows_of_features))
    if config.n_sequences > 0:
        used = np.sort(rng.permutation(used)[: config.n_sequences])

    # A sequence for each occurrence that is used, with as much text before it as the context allows.
    room = opened.context_length - opened.frame.size
    text_indices = occurrences.text[used].tolist()
    tokens = []
    for text, token in zip(text_indices, occurrences.token[used].tolist(), strict=True):
        tokens.append(opened.frame.around(occurrences.ids[text][max(token + 1 - room, 0) : token + 1]))
    sequences = LabelledSequences(
        *opened,
        tokens=tokens,
        labels=np.full(len(used), ""),
        groups=[texts.rows[text].group for text in text_indices],
        source_digest=texts.digest,
        dropped=texts.dropped,
        texts=texts.rows,
        origin=occurrences.text[used],
    )
    labels = (
        (name, Labels("binary", occurrences.kinds[used, i] == POSITIVE, np.isin(used, rows)))
        for i, (name, rows) in enumerate(zip(features, rows_of_features, strict=True))
    )
    return assemble(config, sequences, last_position(sequences), labels, balanced=False)


def find_occurrences(config: MakeConfig, opened: OpenTokenizer, texts: Texts, find: Annotator) -> Occurrences:
    """Find the tokens at which a feature is positive or negative; they follow ``min_tokens - 1`` others or more."""
    ids: dict[int, np.ndarray] = {}
    tokens, kinds = [], []
    for index, text in enumerate(annotate_texts(opened.tokenizer, texts.rows, find, config.num_proc)):
        if text.values is None:
            continue
        places = np.flatnonzero(text.values.any(axis=1))
        places = places[places + 1 >= config.min_tokens]
        if len(places):
            ids[index] = text.ids
            tokens.append(places)
            kinds.append(text.values[places])
    empty = np.empty(0, np.int64)
    return Occurrences(
        text=np.repeat(np.array([*ids], np.int64), [len(places) for places in tokens]),
        token=np.concatenate([empty, *tokens]),
        kinds=np.concatenate(kinds) if kinds else empty,
        ids=ids,
    )
