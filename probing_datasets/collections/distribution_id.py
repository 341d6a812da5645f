"""Which sub-corpus a text is from: one binary feature per sub-corpus (``distribution_id`` of Gurnee et al. 2023).

A position is positive when its text is from the sub-corpus, negative when it is from any other. All
features share the same positions. ``pile_test`` has one multiclass feature with the same labels, and uses
every piece of a text instead of one drawn at random: plain text, for the statistics of stage 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from tyro.conf import Suppress

from probing_datasets.building.assembly import Labels, assemble
from probing_datasets.building.candidate_positions import random_positions
from probing_datasets.building.sequences import cut_texts
from probing_datasets.building.text_sampling import read_texts
from probing_datasets.feature_dataset import FeatureDataset
from probing_datasets.make_config import CollectionName, MakeConfig


@dataclass(frozen=True)
class DistributionConfig(MakeConfig):
    """Settings of `distribution_id`, with the paper's positions."""

    collection: Suppress[CollectionName] = "distribution_id"
    label_column: str = "distribution"
    """Column of the sub-corpus (for the Pile: `meta.pile_set_name`)."""
    positions_per_sequence: int = 2
    ignore_first: int = 25


@dataclass(frozen=True)
class PileTestConfig(MakeConfig):
    """Settings of `pile_test`: all pieces of a text."""

    collection: Suppress[CollectionName] = "pile_test"
    label_column: str = "distribution"
    """Column of the sub-corpus (for the Pile: `meta.pile_set_name`)."""
    sequences_per_text: int = 100_000


def build(config: MakeConfig) -> FeatureDataset:
    """Build one binary feature for each sub-corpus."""
    sequences = cut_texts(config, read_texts(config, config.label_column))
    candidates = random_positions(config, sequences)
    of_position = sequences.labels[candidates.sequence]
    labels = ((str(name), Labels("binary", of_position == name)) for name in np.unique(sequences.labels))
    return assemble(config, sequences, candidates, labels, balanced=False)


def build_pile_test(config: PileTestConfig) -> FeatureDataset:
    """Build one multiclass feature, the sub-corpus."""
    sequences = cut_texts(config, read_texts(config, config.label_column))
    candidates = random_positions(config, sequences)
    names, number = np.unique(sequences.labels, return_inverse=True)
    labels = Labels("multiclass", number[candidates.sequence], classes=tuple(map(str, names)))
    return assemble(config, sequences, candidates, [("distribution", labels)], balanced=False)
