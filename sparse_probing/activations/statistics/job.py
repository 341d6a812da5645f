"""What a histogram run counts, in which blocks, and where it keeps what it has counted."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from probing_datasets.foundation.errors import DatasetError, SettingsError
from probing_datasets.foundation.hashing import digest_json
from sparse_probing.activations.statistics.bins import Bins
from sparse_probing.activations.statistics.checkpoints import Share, counted_blocks
from sparse_probing.activations.statistics.layer_statistics import LayerStatistics
from sparse_probing.activations.statistics.token_classes import TokenClass, TokenNumbers, token_classes
from sparse_probing.activations.statistics.top_examples import MAX_TOKENS
from sparse_probing.activations.tables.subject import Subject

ALGORITHM_VERSION = 1
"""Raise when the same settings give other numbers: old checkpoints are then not gone on with."""
BLOCK_SEQUENCES = 128
"""Sequences that are counted between two checkpoints, or more."""
CHECKPOINTS = "checkpoints"
NOT_BEGUN = -1


@dataclass(frozen=True)
class HistogramJob:
    """A histogram run that is ready."""

    subject: Subject
    bins: Bins
    classes: list[TokenClass]

    @classmethod
    def of(cls, subject: Subject) -> HistogramJob:
        """Plan the run of a subject; DatasetError when the data set has too many tokens to number."""
        config, description = subject.config, subject.dataset.description
        if description.n_tokens >= MAX_TOKENS:
            raise DatasetError(
                f"{description.name} has {description.n_tokens:,} tokens; at most {MAX_TOKENS - 1:,} go."
            )
        classes = token_classes(subject.dataset) if config.histogram.histogram_by_class else []
        return cls(subject, Bins(config.histogram.n_bin, config.histogram.hist_min, config.histogram.hist_max), classes)

    @cached_property
    def numbers(self) -> TokenNumbers:
        """Numbers of the tokens of the data set."""
        return TokenNumbers.of(self.subject.dataset)

    def plan(self, hook_point: str) -> dict[str, Any]:
        """Return everything that decides the numbers of a hook point, as JSON."""
        config = self.subject.config
        return {
            "algorithm_version": ALGORITHM_VERSION,
            **self.subject.fingerprint(hook_point),
            "top_k": config.histogram.top_k,
            "n_bin": config.histogram.n_bin,
            "hist_min": config.histogram.hist_min,
            "hist_max": config.histogram.hist_max,
            "histogram_by_class": config.histogram.histogram_by_class,
            "block_sequences": BLOCK_SEQUENCES,
        }

    @property
    def _n_blocks(self) -> int:
        return -(-self.subject.dataset.description.n_sequences // BLOCK_SEQUENCES)

    def share(self, rank: int) -> range:
        """Return the blocks that a process counts."""
        return range(rank, self._n_blocks, self.subject.config.share.world_size)

    def sequences(self, block: int) -> np.ndarray:
        """(m,) int64: the sequences of a block."""
        start = block * BLOCK_SEQUENCES
        return np.arange(start, min(start + BLOCK_SEQUENCES, self.subject.dataset.description.n_sequences))

    def check_world_size(self, hook_point: str) -> None:
        """Raise SettingsError when checkpoints of another world size would be lost; not with ``overwrite``."""
        mine = self._checkpoint(hook_point, 0)
        standing = {path.stem.rpartition("-")[2] for path in mine.parent.glob("rank-*-of-*.safetensors")}
        others = sorted(map(int, standing - {mine.stem.rpartition("-")[2]}))
        if others and not self.subject.config.storage.overwrite:
            raise SettingsError(
                f"{mine.parent} holds what {others[0]} processes have counted, but --world_size is "
                f"{self.subject.config.share.world_size}. Go on with --world_size {others[0]} and a process for every --rank "
                f"0 to {others[0] - 1}, or delete this folder (a single process: --overwrite) to count anew."
            )

    def is_counted(self, hook_point: str, rank: int) -> bool:
        """Whether a process has counted its whole share."""
        return self.n_counted(hook_point, rank) == len(self.share(rank))

    def n_counted(self, hook_point: str, rank: int) -> int:
        """Return how many blocks of its share a process has counted, or `NOT_BEGUN`."""
        try:
            return counted_blocks(self._checkpoint(hook_point, rank), self._digest(hook_point))
        except FileNotFoundError:
            return NOT_BEGUN

    def load(self, hook_point: str, rank: int) -> Share:
        """Return what a process has counted."""
        return Share.load(self._checkpoint(hook_point, rank), self._digest(hook_point))

    def save(self, hook_point: str, share: Share) -> None:
        """Keep what this process has counted."""
        share.save(self._checkpoint(hook_point, self.subject.config.share.rank), self._digest(hook_point))

    def empty(self, hook_point: str) -> Share:
        """Return a share of which nothing is counted yet."""
        width, k = self.subject.widths[hook_point], self.subject.config.histogram.top_k
        layers = self.subject.layers
        return Share(0, {layer: LayerStatistics.empty(width, self.bins, k, len(self.classes)) for layer in layers})

    def _checkpoint(self, hook_point: str, rank: int) -> Path:
        name = f"rank-{rank:04d}-of-{self.subject.config.share.world_size:04d}.safetensors"
        return self.subject.folder(hook_point) / CHECKPOINTS / name

    def _digest(self, hook_point: str) -> str:
        return digest_json(self.plan(hook_point))
