"""Counting the blocks of one process, with checkpoints."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from functools import partial

import torch
from tqdm import tqdm

from probing_datasets.foundation.errors import ActivationError, ModelMemoryError
from sparse_probing.activations.model_pass.batches import Batch, sequence_batches
from sparse_probing.activations.statistics.bins import Bins
from sparse_probing.activations.statistics.checkpoints import Share
from sparse_probing.activations.statistics.job import NOT_BEGUN, HistogramJob
from sparse_probing.activations.statistics.layer_statistics import LayerStatistics
from sparse_probing.activations.statistics.token_classes import CountedTokens

logger = logging.getLogger(__name__)

CHECKPOINT_COST = 0.05
"""Fraction of the time that may go into writing checkpoints."""

Shares = dict[str, Share]
"""By hook point."""


@torch.inference_mode()
def count_open_blocks(job: HistogramJob, hook_points: Sequence[str]) -> None:
    """Count what this process has still to count, hook points that lack the same blocks in one pass."""
    passes: dict[int, list[str]] = {}
    for hook_point in hook_points:
        if not job.is_counted(hook_point, job.subject.config.share.rank):
            passes.setdefault(job.n_counted(hook_point, job.subject.config.share.rank), []).append(hook_point)
    for together in passes.values():
        _count_within_memory(job, together)


def _count_within_memory(job: HistogramJob, hook_points: Sequence[str]) -> None:
    """Count with smaller batches, from the last checkpoint on, when one does not fit into memory."""
    batch_size = min(
        job.subject.config.forward_pass.batch_size, len(job.sequences(0))
    )  # no batch is larger than a block
    while True:
        try:
            return _count(job, _begin_or_resume(job, hook_points), batch_size)
        except ModelMemoryError:
            if batch_size == 1:
                raise
        batch_size //= 2
        logger.warning("A batch does not fit into memory: going on from the last checkpoint with %d", batch_size)


def _begin_or_resume(job: HistogramJob, hook_points: Sequence[str]) -> Shares:
    rank = job.subject.config.share.rank
    return {
        hook_point: job.empty(hook_point)
        if job.n_counted(hook_point, rank) == NOT_BEGUN
        else job.load(hook_point, rank)
        for hook_point in hook_points
    }


def _count(job: HistogramJob, shares: Shares, batch_size: int) -> None:
    mine = job.share(job.subject.config.share.rank)
    n_counted = next(iter(shares.values())).n_counted
    saved, cost = time.monotonic(), 0.0
    bar = tqdm(total=len(mine), initial=n_counted, unit=" blocks", desc="count", disable=None)
    with bar:
        for block in mine[n_counted:]:
            _count_block(job, shares, block, batch_size)
            bar.update()
            if (time.monotonic() - saved) * CHECKPOINT_COST >= cost and block != mine[-1]:
                cost = _save(job, shares)
                saved = time.monotonic()
    _save(job, shares)


def _count_block(job: HistogramJob, shares: Shares, block: int, batch_size: int) -> None:
    for batch in sequence_batches(job.subject.dataset, job.sequences(block), batch_size):
        _count_batch(job, shares, batch)
    for share in shares.values():
        share.n_counted += 1


def _count_batch(job: HistogramJob, shares: Shares, batch: Batch) -> None:
    """Update on the device of each activation, so that nothing but the statistics stays of a batch."""
    tokens = CountedTokens.of(batch, job.numbers, job.classes)
    hooks = {
        name: partial(_update, name, statistics, tokens, job.bins)
        for hook_point, share in shares.items()
        for layer, statistics in share.layers.items()
        for name in [f"blocks.{layer}.{hook_point}"]
    }
    job.subject.model.run(batch.tokens, batch.mask, hooks)


def _update(
    name: str, statistics: LayerStatistics, tokens: CountedTokens, bins: Bins, activation: torch.Tensor
) -> None:
    """Update and, when it fails, say where."""
    try:
        statistics.update(activation, tokens, bins)
    except ActivationError as error:
        raise ActivationError(f"{name}: {error}") from error


def _save(job: HistogramJob, shares: Shares) -> float:
    """Write checkpoints and return the seconds that it took."""
    start = time.monotonic()
    for hook_point, share in shares.items():
        job.save(hook_point, share)
    return time.monotonic() - start
