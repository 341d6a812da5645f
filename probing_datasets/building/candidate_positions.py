"""Positions that may be probed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from probing_datasets.building.row_sampling import sample_positions
from probing_datasets.building.sequences import LabelledSequences
from probing_datasets.make_config import MakeConfig


@dataclass(frozen=True)
class Candidates:
    """Positions that may be probed, ordered by sequence and position."""

    sequence: np.ndarray
    """(n,) int64."""
    position: np.ndarray
    """(n,) int64, special tokens counted."""

    def __len__(self) -> int:
        return len(self.sequence)

    def select(self, rows: np.ndarray) -> Candidates:
        """Return the candidates of a mask, or at increasing indices."""
        return Candidates(self.sequence[rows], self.position[rows])

    def take(self, per_sequence: Sequence[np.ndarray]) -> np.ndarray:
        """Return the values at the candidates, (n, ...), from one array per sequence with a value for each token."""
        starts = np.cumsum([0, *map(len, per_sequence)])[:-1]
        return np.concatenate(per_sequence)[starts[self.sequence] + self.position]


def every_position(config: MakeConfig, sequences: LabelledSequences) -> Candidates:
    """Return all positions except the first ``ignore_first``, special tokens and the unknown token.

    The unknown token counts as special: its string does not tell which text it replaces.
    """
    first = len(sequences.frame.prefix) + config.ignore_first
    n_each = np.maximum(sequences.lengths - len(sequences.frame.suffix) - first, 0)
    sequence = np.repeat(np.arange(len(n_each)), n_each)
    position = np.arange(len(sequence)) - np.repeat(np.cumsum(n_each) - n_each, n_each) + first
    candidates = Candidates(sequence, position)
    special = np.isin(candidates.take(sequences.tokens), sequences.tokenizer.all_special_ids)
    return candidates.select(~special)


def random_positions(config: MakeConfig, sequences: LabelledSequences) -> Candidates:
    """Return ``positions_per_sequence`` positions of each sequence, drawn at random."""
    first = len(sequences.frame.prefix) + config.ignore_first
    rng = np.random.default_rng(config.seed)
    n_suffix = len(sequences.frame.suffix)
    return Candidates(*sample_positions(sequences.lengths, first, n_suffix, config.positions_per_sequence, rng))


def last_position(sequences: LabelledSequences) -> Candidates:
    """Return the last position of each sequence that is not special."""
    return Candidates(np.arange(len(sequences.tokens)), sequences.lengths - len(sequences.frame.suffix) - 1)
