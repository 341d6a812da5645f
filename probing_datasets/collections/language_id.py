"""The language of a text: one binary feature per natural or programming language.

A position is positive when its sequence is in the language, negative when it is in any
other language of the collection. All features share the same positions. Collections
``natural_lang_id`` and ``programming_lang_id`` of Gurnee et al. 2023.
"""

from __future__ import annotations

import numpy as np

from probing_datasets.building.assembly import MIN_GROUPS, Labels, assemble
from probing_datasets.building.candidate_positions import random_positions
from probing_datasets.building.sequences import LabelledSequences, cut_texts
from probing_datasets.building.text_sampling import read_texts
from probing_datasets.feature_dataset import FeatureDataset
from probing_datasets.foundation.errors import DatasetError
from probing_datasets.make_config import MakeConfig


def build(config: MakeConfig) -> FeatureDataset:
    """Build a language collection from a source with text, label and group.

    Raises
    ------
    DatasetError
        When fewer than two languages have enough sequences.
    """
    sequences = cut_texts(config, read_texts(config, config.label_column))
    sequences = _drop_rare_languages(sequences, config.min_positives)
    candidates = random_positions(config, sequences)
    of_position = sequences.labels[candidates.sequence]
    labels = ((str(name), Labels("binary", of_position == name)) for name in np.unique(sequences.labels))
    return assemble(config, sequences, candidates, labels, balanced=False)


def _drop_rare_languages(sequences: LabelledSequences, min_positives: int) -> LabelledSequences:
    groups = np.array(sequences.groups)
    languages, notes = [], []
    for language in np.unique(sequences.labels):
        in_language = sequences.labels == language
        n, n_groups = int(in_language.sum()), len(np.unique(groups[in_language]))
        if n < min_positives or n_groups < MIN_GROUPS:
            notes.append(
                f"{language} was dropped: {n} sequences in {n_groups} groups, and it needs at least "
                f"{min_positives} (--min_positives) in {MIN_GROUPS}."
            )
        else:
            languages.append(language)
    if len(languages) < 2:
        raise DatasetError(
            f"Fewer than two languages are left ({', '.join(languages) or 'none'}). "
            f"{' '.join([*sequences.dropped, *notes])} Check --label_column, lower --min_positives, or use more text."
        )
    return sequences.select(np.flatnonzero(np.isin(sequences.labels, languages)), tuple(notes))
