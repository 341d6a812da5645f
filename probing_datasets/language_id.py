"""Which language a text is written in: one binary feature per natural or programming language.

A position is positive when its sequence is in the language, negative when it is in any
other language of the collection. All features share the same positions. Collections
``natural_lang_id`` and ``programming_lang_id`` of Gurnee et al. 2023.
"""

from __future__ import annotations

import numpy as np

from probing_datasets.config import MakeConfig
from probing_datasets.feature_dataset import FeatureDataset, FeatureKind, Probes, build_feature_dataset
from probing_datasets.foundation.errors import DatasetError
from probing_datasets.sampling import sample_positions
from probing_datasets.sequences import LabelledSequences, describe_sequences, make_sequences

MIN_GROUPS = 2
"""A language in a single group cannot be in training and test rows both."""


def build(config: MakeConfig) -> FeatureDataset:
    """Build a language collection from a source with text, label and group.

    Raises
    ------
    DatasetError
        When fewer than two languages have enough sequences.
    """
    sequences = _keep_languages(make_sequences(config, config.label_column), config.min_positives)
    lengths = np.array([len(t) for t in sequences.tokens])
    first = len(sequences.frame.prefix) + config.ignore_first
    rng = np.random.default_rng(config.seed)
    sequence, position = sample_positions(
        lengths, first, len(sequences.frame.suffix), config.positions_per_sequence, rng
    )
    probes: dict[str, tuple[FeatureKind, Probes]] = {}
    for language in np.unique(sequences.labels):
        label = np.where(sequences.labels[sequence] == language, 1.0, -1.0)
        probes[str(language)] = ("binary", Probes(sequence, position, label))
    description = describe_sequences(config, sequences)
    return build_feature_dataset(description, sequences.tokens, sequences.groups, probes)


def _keep_languages(sequences: LabelledSequences, min_positives: int) -> LabelledSequences:
    groups = np.array(sequences.groups)
    kept, notes = [], []
    for language in np.unique(sequences.labels):
        member = sequences.labels == language
        n, n_groups = int(member.sum()), len(np.unique(groups[member]))
        if n < min_positives or n_groups < MIN_GROUPS:
            notes.append(
                f"{language} was left out: {n} sequences in {n_groups} groups, and it needs at least "
                f"{min_positives} (--min_positives) in {MIN_GROUPS}."
            )
        else:
            kept.append(language)
    if len(kept) < 2:
        raise DatasetError(
            f"Fewer than two languages are left ({', '.join(kept) or 'none'}). "
            f"{' '.join([*sequences.dropped, *notes])} Check --label_column, lower --min_positives, or give more text."
        )
    return sequences.select(np.flatnonzero(np.isin(sequences.labels, kept)), tuple(notes))
