"""Prepare a histogram: what is counted, the blocks of sequences of each process, and their checkpoints."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from probing_datasets.foundation.errors import CorruptStoreError, DatasetError, SettingsError
from probing_datasets.foundation.hashing import digest_json
from sparse_probing.activations.statistics.bin_ranges import LayerBins, bins_of_sample, load_bins, save_bins
from sparse_probing.activations.statistics.bins import Bins
from sparse_probing.activations.statistics.checkpoints import Share, counted_blocks
from sparse_probing.activations.statistics.extreme_examples import MAX_TOKENS
from sparse_probing.activations.statistics.layer_statistics import LayerStatistics
from sparse_probing.activations.statistics.token_classes import TokenClass, TokenNumbers, token_classes
from sparse_probing.activations.tables.table_inputs import TableInputs, load_table_inputs
from sparse_probing.config import HarvestConfig

logger = logging.getLogger(__name__)

ALGORITHM_VERSION = 2
"""Raise when the same settings give other numbers: old checkpoints are then not resumed."""
BLOCK_SEQUENCES = 128
"""Sequences of a block. Checkpoints are written between blocks."""
CHECKPOINTS = "checkpoints"
BINS = "bins.safetensors"
NOT_STARTED = -1


@dataclass(frozen=True)
class PreparedHistogram:
    """A histogram that is ready to be counted."""

    inputs: TableInputs
    classes: list[TokenClass]

    @cached_property
    def numbers(self) -> TokenNumbers:
        """Numbers of the tokens of the data set."""
        return TokenNumbers.of(self.inputs.dataset)

    def plan(self, hook_point: str) -> dict[str, Any]:
        """Return everything that decides the numbers of a hook point, as JSON."""
        histogram = self.inputs.config.histogram
        return {
            "algorithm_version": ALGORITHM_VERSION,
            **self.inputs.fingerprint(hook_point),
            "top_k": histogram.top_k,
            "n_bin": histogram.n_bin,
            "hist_min": histogram.hist_min,
            "hist_max": histogram.hist_max,
            "histogram_by_class": histogram.histogram_by_class,
            "block_sequences": BLOCK_SEQUENCES,
        }

    def blocks_of(self, rank: int) -> Sequence[int]:
        """Return the blocks that a process counts."""
        n_blocks = -(-self.inputs.dataset.description.n_sequences // BLOCK_SEQUENCES)
        return replace(self.inputs.config.share, rank=rank).of(range(n_blocks))

    def sequences(self, block: int) -> np.ndarray:
        """Return the numbers of the sequences of a block: (m,) int64."""
        start = block * BLOCK_SEQUENCES
        return np.arange(start, min(start + BLOCK_SEQUENCES, self.inputs.dataset.description.n_sequences))

    def check_world_size(self, hook_point: str) -> None:
        """Raise SettingsError when checkpoints of another world size would be lost; not with ``overwrite``."""
        path, world_size = self._checkpoint(hook_point, 0), self.inputs.config.share.world_size
        existing = {int(file.stem.rpartition("-")[2]) for file in path.parent.glob("rank-*-of-*.safetensors")}
        others = sorted(existing - {world_size})
        if others and not self.inputs.config.storage.overwrite:
            raise SettingsError(
                f"{path.parent} holds checkpoints of {others[0]} processes, but --world_size is {world_size}. Resume "
                f"with --world_size {others[0]} and a process for every --rank 0 to {others[0] - 1}, or delete this "
                "folder (a single process: --overwrite) to start again."
            )

    def is_counted(self, hook_point: str, rank: int) -> bool:
        """Whether a process has counted all of its blocks."""
        return self.n_counted(hook_point, rank) == len(self.blocks_of(rank))

    def n_counted(self, hook_point: str, rank: int) -> int:
        """Return how many of its blocks a process has counted, or `NOT_STARTED`."""
        path = self._checkpoint(hook_point, rank)
        try:
            return counted_blocks(path, self._owner(hook_point, path))
        except FileNotFoundError:
            return NOT_STARTED
        except CorruptStoreError as error:
            discard_damaged(path, error)
            return NOT_STARTED

    def load(self, hook_point: str, rank: int) -> Share | None:
        """Return what a process has counted; None when its checkpoint is damaged, which is then removed.

        Raises
        ------
        FileNotFoundError
            When there is no checkpoint.
        StoreError
            When it belongs to another plan or process.
        """
        path = self._checkpoint(hook_point, rank)
        try:
            return Share.load(path, self._owner(hook_point, path))
        except CorruptStoreError as error:
            discard_damaged(path, error)
            return None

    def save(self, hook_point: str, share: Share, rank: int) -> None:
        """Write a checkpoint of what a process has counted."""
        path = self._checkpoint(hook_point, rank)
        share.save(path, self._owner(hook_point, path))

    def empty(self, hook_point: str) -> Share:
        """Return a share without counted blocks."""
        width, k = self.inputs.widths[hook_point], self.inputs.config.histogram.top_k
        empty = {
            layer: LayerStatistics.empty(width, bins, k, len(self.classes))
            for layer, bins in self._bins(hook_point).items()
        }
        return Share(0, empty)

    def _bins(self, hook_point: str) -> LayerBins:
        """Return the bins of every layer: those of the settings, or those of a sample, which one process decides."""
        settings, width = self.inputs.config.histogram, self.inputs.widths[hook_point]
        if settings.hist_min is not None and settings.hist_max is not None:
            bins = Bins.between(settings.n_bin, [settings.hist_min] * width, [settings.hist_max] * width)
            return dict.fromkeys(self.inputs.layers, bins)
        path = self.inputs.folder(hook_point) / CHECKPOINTS / BINS
        owner = self._owner(hook_point, path)
        try:
            return load_bins(path, owner, settings.n_bin)
        except FileNotFoundError:
            pass
        except CorruptStoreError as error:
            discard_damaged(path, error)
        return save_bins(path, owner, bins_of_sample(self.inputs, hook_point, settings.n_bin))

    def _checkpoint(self, hook_point: str, rank: int) -> Path:
        name = f"rank-{rank:04d}-of-{self.inputs.config.share.world_size:04d}.safetensors"
        return self.inputs.folder(hook_point) / CHECKPOINTS / name

    def _owner(self, hook_point: str, path: Path) -> str:
        """Return the digest of what a file belongs to: its plan, and its process."""
        return digest_json([self.plan(hook_point), path.name])


def discard_damaged(path: Path, error: CorruptStoreError) -> None:
    """Remove a damaged file, with a warning, so that it is made again."""
    logger.warning("%s It is removed and made again.", str(error).partition(" Delete it")[0])
    path.unlink(missing_ok=True)


def prepare_histogram(config: HarvestConfig) -> PreparedHistogram:
    """Load the data set and the model, and find the classes.

    Raises
    ------
    DatasetError, ModelError, SettingsError
        As `load_table_inputs`; also when the data set has too many tokens to number.
    """
    inputs, settings = load_table_inputs(config), config.histogram
    description = inputs.dataset.description
    if description.n_tokens >= MAX_TOKENS:
        raise DatasetError(
            f"{description.name} has {description.n_tokens:,} tokens; a histogram takes at most {MAX_TOKENS - 1:,}. "
            "Make a smaller data set."
        )
    classes = token_classes(inputs.dataset) if settings.histogram_by_class else []
    return PreparedHistogram(inputs, classes)
