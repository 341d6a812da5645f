"""Short contexts that end at the probed token, cut around what a collection finds in running text."""

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
"""What a finder says of a token; larger numbers are kinds of negatives."""


@dataclass(frozen=True)
class Occurrences:
    """Tokens that at least one feature is positive or negative at."""

    text: np.ndarray
    """(n,) int64."""
    token: np.ndarray
    """(n,) int64, index into the tokens of the text."""
    kinds: np.ndarray
    """(n, features) int8."""
    ids: dict[int, np.ndarray]
    """Tokens of each text in which there are some."""


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
    found = find_occurrences(config, opened, texts, find)
    if not len(found.text):
        raise DatasetError(f"Nothing of {', '.join(features)} occurs in {config.source}. Use more text.")
    rng = np.random.default_rng(config.seed)
    priority = rng.permutation(len(found.text))
    chosen = [_choose(config, kinds, priority) for kinds in found.kinds.T]
    used = np.unique(np.concatenate(chosen))
    if config.n_sequences > 0:
        used = np.sort(rng.permutation(used)[: config.n_sequences])
    sequences = _cut(opened, texts, found, used)
    labels = (
        (name, Labels("binary", found.kinds[used, i] == POSITIVE, np.isin(used, rows)))
        for i, (name, rows) in enumerate(zip(features, chosen, strict=True))
    )
    return assemble(config, sequences, last_position(sequences), labels, balanced=False)


def find_occurrences(config: MakeConfig, opened: OpenTokenizer, texts: Texts, find: Annotator) -> Occurrences:
    """Find what is positive or negative of some feature, where enough tokens stand before it."""
    ids: dict[int, np.ndarray] = {}
    token, kinds = [], []
    for index, text in enumerate(annotate_texts(opened.tokenizer, texts.rows, find, config.num_proc)):
        if text.values is None:
            continue
        at = np.flatnonzero(text.values.any(axis=1))
        at = at[at + 1 >= config.min_tokens]
        if len(at):
            ids[index] = text.ids
            token.append(at)
            kinds.append(text.values[at])
    of_text = np.repeat(np.array([*ids], np.int64), [len(at) for at in token])
    empty = np.empty(0, np.int64)
    return Occurrences(of_text, np.concatenate([empty, *token]), np.concatenate(kinds) if kinds else empty, ids)


def _choose(config: MakeConfig, kinds: np.ndarray, priority: np.ndarray) -> np.ndarray:
    """Return the occurrences that become rows of one feature."""
    kind = kinds[priority]
    positives, negatives = priority[kind == POSITIVE], priority[kind > POSITIVE]
    sizes = class_sizes(len(positives), len(negatives), config.rows_per_feature, config.positive_fraction)
    return np.concatenate([positives[: sizes[0]], first_evenly(kinds, negatives, sizes[1])])


def _cut(opened: OpenTokenizer, texts: Texts, found: Occurrences, used: np.ndarray) -> LabelledSequences:
    room = opened.context_length - opened.frame.size
    places = list(zip(found.text[used].tolist(), (found.token[used] + 1).tolist(), strict=True))
    return LabelledSequences(
        *opened,
        tokens=[opened.frame.around(found.ids[text][max(stop - room, 0) : stop]) for text, stop in places],
        labels=np.full(len(places), ""),
        groups=[texts.rows[text].group for text, _ in places],
        source_digest=texts.digest,
        dropped=texts.dropped,
        texts=texts.rows,
        origin=found.text[used],
    )
