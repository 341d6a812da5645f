"""Run batches through a model, and bring what is kept of its activations to the host."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any

import torch

from probing_datasets.foundation.errors import ModelMemoryError
from sparse_probing.activations.model_pass.batches import Batch
from sparse_probing.models import LanguageModel

logger = logging.getLogger(__name__)

Select = Callable[[Batch, torch.Tensor], torch.Tensor]
"""Of a batch (on the device of the model) and an activation (batch, length, width), what is kept."""

Kept = dict[tuple[str, int], torch.Tensor]
"""What is kept of a batch, by hook point and layer."""


def forward(
    model: LanguageModel,
    batches: Iterable[Batch],
    hook_points: Sequence[str],
    layers: Sequence[int],
    select: Select,
) -> Iterator[tuple[Batch, Kept]]:
    """Run every batch and yield what is kept of it, on the host.

    On CUDA the copies go to pinned memory on a stream of their own, and a batch is yielded while
    the next one runs. A batch that does not fit into the memory of the device is halved, and
    later ones are no larger.

    Parameters
    ----------
    model : LanguageModel
    batches : iterable of Batch
    hook_points : sequence of str
        For example ``["mlp.hook_post"]``.
    layers : sequence of int
    select : callable
        Called with the batch and each activation (batch, length, width), both on the device;
        returns the tensor to keep, which must not share memory with the activation.

    Yields
    ------
    Batch, dict
        The batch, or a piece of it, on the host; and what ``select`` returned, on the host, by
        hook point and layer.

    Raises
    ------
    ModelMemoryError
        When a single sequence does not fit.
    """
    copies = HostCopies()
    keys = [(hook_point, layer) for hook_point in hook_points for layer in layers]
    ahead = 1 if model.device.type == "cuda" else 0
    waiting: deque[tuple[Batch, Kept, list[torch.cuda.Event]]] = deque()
    for batch, kept in _that_fit(batches, partial(_run, model, keys, select, copies)):
        waiting.append((batch, kept, copies.mark()))
        if len(waiting) > ahead:
            yield _arrived(*waiting.popleft())
    while waiting:
        yield _arrived(*waiting.popleft())


class HostCopies:
    """Copies to the host; from CUDA devices to pinned memory, on one stream for each device."""

    def __init__(self) -> None:
        self._streams: dict[torch.device, torch.cuda.Stream] = {}

    def start(self, tensor: torch.Tensor) -> torch.Tensor:
        """Return the tensor on the host; from CUDA it has arrived when the next mark is passed."""
        if tensor.device.type != "cuda":
            return tensor.cpu()
        stream = self._stream(tensor.device)
        stream.wait_stream(torch.cuda.current_stream(tensor.device))
        host = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
        with torch.cuda.stream(stream):
            host.copy_(tensor, non_blocking=True)
        tensor.record_stream(stream)
        return host

    def mark(self) -> list[Any]:
        """Return events that are passed when all copies started until now have arrived."""
        return [stream.record_event() for stream in self._streams.values()]

    def _stream(self, device: torch.device) -> torch.cuda.Stream:
        if device not in self._streams:
            self._streams[device] = torch.cuda.Stream(device)
        return self._streams[device]


def _arrived(batch: Batch, kept: Kept, events: list[Any]) -> tuple[Batch, Kept]:
    for event in events:
        event.synchronize()
    return batch, kept


def _that_fit(batches: Iterable[Batch], run: Callable[[Batch], Kept]) -> Iterator[tuple[Batch, Kept]]:
    """Run batches, in halves from the first one on that does not fit into memory."""
    largest: int | None = None
    for whole in batches:
        waiting = deque([whole])
        while waiting:
            batch = waiting.popleft()
            if largest is not None and len(batch.tokens) > largest:
                waiting.extendleft(reversed(batch.split(largest)))
                continue
            try:
                kept = run(batch)
            except ModelMemoryError:
                n_sequences, length = batch.tokens.shape
                if n_sequences == 1:
                    raise
                largest = n_sequences // 2
                logger.warning("%d sequences of %d tokens do not fit into memory: now %d", n_sequences, length, largest)
                waiting.appendleft(batch)
            else:
                yield batch, kept


def _run(
    model: LanguageModel, keys: Sequence[tuple[str, int]], select: Select, copies: HostCopies, batch: Batch
) -> Kept:
    on_device, kept = batch.to(model.device), {}

    def keep(key: tuple[str, int], activation: torch.Tensor) -> None:
        kept[key] = copies.start(select(on_device, activation))

    hooks = {f"blocks.{layer}.{hook_point}": partial(keep, (hook_point, layer)) for hook_point, layer in keys}
    model.run(on_device.tokens, on_device.mask, hooks)
    return kept
