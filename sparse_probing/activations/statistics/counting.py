"""Count the blocks of one process, with checkpoints."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from functools import partial

import torch
from tqdm import tqdm

from probing_datasets.foundation.errors import ActivationError, ModelMemoryError
from sparse_probing.activations.model_pass.batches import sequence_batches
from sparse_probing.activations.statistics.checkpoints import Share
from sparse_probing.activations.statistics.layer_statistics import LayerStatistics
from sparse_probing.activations.statistics.prepare import NOT_STARTED, PreparedHistogram
from sparse_probing.activations.statistics.token_classes import CountedTokens

logger = logging.getLogger(__name__)

CHECKPOINT_COST = 0.05
"""Largest fraction of the time that is spent on writing checkpoints."""

Shares = dict[str, Share]
"""By hook point."""


@torch.inference_mode()
def count_open_blocks(prepared: PreparedHistogram, hook_points: Sequence[str], rank: int) -> None:
    """Count the open blocks of a process; hook points with the same open blocks are counted in one pass."""
    passes: dict[int, list[str]] = {}
    for hook_point in hook_points:
        if not prepared.is_counted(hook_point, rank):
            passes.setdefault(prepared.n_counted(hook_point, rank), []).append(hook_point)

    batch_size = prepared.inputs.config.forward_pass.batch_size
    for hook_points_of_pass in passes.values():
        size = min(batch_size, len(prepared.sequences(0)))  # no batch is larger than a block
        while not _count(prepared, hook_points_of_pass, size, rank):
            size //= 2
            logger.warning("A batch does not fit into memory: resuming from the last checkpoint with %d", size)


def _count(prepared: PreparedHistogram, hook_points: Sequence[str], batch_size: int, rank: int) -> bool:
    """Count from the last checkpoint on; return False when a batch of more than one sequence does not fit."""
    shares: Shares = {}
    for hook_point in hook_points:
        started = prepared.n_counted(hook_point, rank) != NOT_STARTED
        share = prepared.load(hook_point, rank) if started else None
        shares[hook_point] = share or prepared.empty(hook_point)
    if len({share.n_counted for share in shares.values()}) > 1:  # one of the checkpoints was damaged
        shares = {hook_point: prepared.empty(hook_point) for hook_point in hook_points}
    n_counted = next(iter(shares.values())).n_counted

    blocks = prepared.blocks_of(rank)
    last_checkpoint, cost = time.monotonic(), 0.0
    with tqdm(total=len(blocks), initial=n_counted, unit=" blocks", desc="count", disable=None) as bar:
        for block in blocks[n_counted:]:
            try:
                _count_block(prepared, shares, block, batch_size)
            except ModelMemoryError:
                if batch_size == 1:
                    raise
                return False
            bar.update()
            if (time.monotonic() - last_checkpoint) * CHECKPOINT_COST >= cost and block != blocks[-1]:
                cost = _save(prepared, shares, rank)
                last_checkpoint = time.monotonic()
    _save(prepared, shares, rank)
    return True


def _count_block(prepared: PreparedHistogram, shares: Shares, block: int, batch_size: int) -> None:
    inputs = prepared.inputs
    for batch in sequence_batches(inputs.dataset, prepared.sequences(block), batch_size):
        tokens = CountedTokens.of(batch, prepared.numbers, prepared.classes)
        hooks = {}
        for hook_point, share in shares.items():
            for layer, statistics in share.layers.items():
                # Updated on the device of the activation, so that only statistics are kept of a batch.
                name = f"blocks.{layer}.{hook_point}"
                hooks[name] = partial(_update, name, statistics, tokens)
        inputs.model.run(batch.tokens, batch.mask, hooks)
    for share in shares.values():
        share.n_counted += 1


def _update(name: str, statistics: LayerStatistics, tokens: CountedTokens, activation: torch.Tensor) -> None:
    """Add an activation to statistics; an error names the hook point."""
    try:
        statistics.update(activation, tokens)
    except ActivationError as error:
        raise ActivationError(f"{name}: {error}") from error


def _save(prepared: PreparedHistogram, shares: Shares, rank: int) -> float:
    """Write checkpoints and return the seconds that this took."""
    start = time.monotonic()
    for hook_point, share in shares.items():
        prepared.save(hook_point, share, rank)
    return time.monotonic() - start
