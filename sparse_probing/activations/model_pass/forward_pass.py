"""Run batches through a model, and copy selected activations to the host."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch

from probing_datasets.foundation.errors import ModelMemoryError
from sparse_probing.activations.model_pass.batches import Batch
from sparse_probing.models import LanguageModel

logger = logging.getLogger(__name__)

Select = Callable[[Batch, torch.Tensor], torch.Tensor]
"""Takes a batch (on the device of the model) and an activation (batch, length, width); returns what is kept of it."""

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

    On CUDA the copies go to pinned memory on their own stream, and a batch is yielded while
    the next one runs. A batch that does not fit into the memory of the device is halved, and
    later batches are no larger.

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
    names = {(point, layer): f"blocks.{layer}.{point}" for point in hook_points for layer in layers}
    yield from forward_at(model, batches, lambda: names, select)


def forward_at(
    model: LanguageModel,
    batches: Iterable[Batch],
    names: Callable[[], Mapping[tuple[str, int], str]],
    select: Select,
    to_host: bool = True,
) -> Iterator[tuple[Batch, Kept]]:
    """Run every batch as `forward`, at places of any layers, which may become fewer while batches run.

    Parameters
    ----------
    model : LanguageModel
    batches : iterable of Batch
    names : callable
        Returns the full name of each hook point, by its key in what is yielded; called before each batch.
    select : callable
        As for `forward`.
    to_host : bool
        Whether what is kept is copied to the host. Otherwise it stays on the device that computed it.

    Yields
    ------
    Batch, dict
        As `forward`.
    """
    copies = HostCopies()

    def run(batch: Batch) -> Kept:
        on_device, kept = batch.to(model.device), {}

        def keep(key: tuple[str, int], activation: torch.Tensor) -> None:
            selected = select(on_device, activation)
            kept[key] = copies.start(selected) if to_host else selected

        model.run(on_device.tokens, on_device.mask, {name: partial(keep, key) for key, name in names().items()})
        return kept

    n_ahead = 1 if to_host and model.device.type == "cuda" else 0
    pending: deque[tuple[Batch, Kept, list[Any]]] = deque()
    for batch, kept in _run_within_memory(batches, run):
        pending.append((batch, kept, copies.mark()))
        if len(pending) > n_ahead:
            yield _wait_for_copies(*pending.popleft())
    while pending:
        yield _wait_for_copies(*pending.popleft())


class HostCopies:
    """Copies of tensors on the host; from CUDA devices to pinned memory, on one stream for each device."""

    def __init__(self) -> None:
        self._streams: dict[torch.device, torch.cuda.Stream] = {}

    def start(self, tensor: torch.Tensor) -> torch.Tensor:
        """Return the tensor on the host; from CUDA its values have arrived when the next mark is passed."""
        if tensor.device.type != "cuda":
            return tensor.cpu()
        if tensor.device not in self._streams:
            self._streams[tensor.device] = torch.cuda.Stream(tensor.device)
        stream = self._streams[tensor.device]
        stream.wait_stream(torch.cuda.current_stream(tensor.device))
        host = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
        with torch.cuda.stream(stream):
            host.copy_(tensor, non_blocking=True)
        tensor.record_stream(stream)
        return host

    def mark(self) -> list[Any]:
        """Return events that are passed when all copies started until now have arrived."""
        return [stream.record_event() for stream in self._streams.values()]


@contextmanager
def torch_threads(n_threads: int) -> Iterator[None]:
    """Set the number of threads of PyTorch, and restore the previous number afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(n_threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _wait_for_copies(batch: Batch, kept: Kept, events: list[Any]) -> tuple[Batch, Kept]:
    for event in events:
        event.synchronize()
    return batch, kept


def _run_within_memory(batches: Iterable[Batch], run: Callable[[Batch], Kept]) -> Iterator[tuple[Batch, Kept]]:
    """Run batches; from the first one that does not fit into memory on, run them in halves."""
    largest: int | None = None
    for whole in batches:
        pieces = deque([whole])
        while pieces:
            batch = pieces.popleft()
            if largest is not None and len(batch.tokens) > largest:
                pieces.extendleft(reversed(batch.split(largest)))
                continue
            try:
                kept = run(batch)
            except ModelMemoryError:
                n_sequences, length = batch.tokens.shape
                if n_sequences == 1:
                    raise
                largest = n_sequences // 2
                logger.warning("%d sequences of %d tokens do not fit into memory: now %d", n_sequences, length, largest)
                pieces.appendleft(batch)
            else:
                yield batch, kept
