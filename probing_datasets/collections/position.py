"""The place of a token in its sequence: regression (``position`` of Gurnee et al. 2023).

All features label the same positions. Special tokens count, as they do for the model.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from tyro.conf import Suppress

from probing_datasets.building.assembly import Labels, assemble
from probing_datasets.building.candidate_positions import every_position
from probing_datasets.building.sequences import cut_texts
from probing_datasets.building.text_sampling import read_texts
from probing_datasets.feature_dataset import FeatureDataset
from probing_datasets.make_config import CollectionName, MakeConfig


@dataclass(frozen=True)
class PositionConfig(MakeConfig):
    """Settings of `position`, with the paper's number of rows."""

    collection: Suppress[CollectionName] = "position"
    rows_per_feature: int = 50_000


def build(config: MakeConfig) -> FeatureDataset:
    """Build the four regression features on any text; no label column is needed."""
    sequences = cut_texts(config, read_texts(config))
    candidates = every_position(config, sequences)
    lengths = sequences.lengths[candidates.sequence]
    numbers = position_features(candidates.position, lengths, sequences.context_length)
    labels = ((name, Labels("regression", values)) for name, values in numbers.items())
    return assemble(config, sequences, candidates, labels)


def position_features(position: np.ndarray, lengths: np.ndarray, context_length: int) -> dict[str, np.ndarray]:
    """Return the labels of positions (n,), in sequences of the given lengths (n,).

    Returns
    -------
    dict of (n,) float64
        ``absolute``: tokens before it. ``relative``: from 0 at the first token of its sequence to 1 at the
        last. ``log``: log2(1 + absolute). ``normalised``: absolute, less its mean over a full context, divided by its
        standard deviation over a full context.
    """
    full = np.arange(context_length)
    return {
        "absolute": position.astype(np.float64),
        "log": np.log2(1.0 + position),
        "normalised": (position - full.mean()) / (full.std() or 1),
        "relative": position / np.maximum(lengths - 1, 1),
    }
