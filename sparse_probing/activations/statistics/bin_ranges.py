"""Choose the bins of every neuron from a sample of the data."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import torch

from probing_datasets.foundation.errors import ActivationError
from sparse_probing.activations.model_pass.batches import sequence_batches
from sparse_probing.activations.statistics.bins import Bins
from sparse_probing.activations.statistics.checked_tensors import load_tensors, tensor_bytes
from sparse_probing.activations.statistics.token_classes import CountedTokens, TokenNumbers
from sparse_probing.activations.stores.storage.files import write_new_file
from sparse_probing.activations.tables.recorded_files import writing_errors
from sparse_probing.activations.tables.table_inputs import TableInputs

SAMPLE_SEQUENCES = 64
"""Sequences, at equal distances in the data set, whose activations decide the bins."""
MARGIN = 0.1
"""The bins reach beyond the extremes of the sample by this fraction of the distance between them."""

LayerBins = dict[int, Bins]
"""By layer."""


@torch.inference_mode()
def bins_of_sample(inputs: TableInputs, hook_point: str, n_bin: int) -> LayerBins:
    """Return bins that hold the activations of every neuron at a sample of the sequences.

    The sequences run one at a time, so that the bins do not depend on the size of batches.

    Raises
    ------
    ActivationError
        When an activation is NaN or infinite.
    """
    n_sequences, width = inputs.dataset.description.n_sequences, inputs.widths[hook_point]
    sample = np.unique(np.linspace(0, n_sequences - 1, min(SAMPLE_SEQUENCES, n_sequences)).round().astype(np.int64))
    numbers = TokenNumbers.of(inputs.dataset)
    extremes = {layer: (np.full(width, np.inf), np.full(width, -np.inf)) for layer in inputs.layers}

    def note(layer: int, row: torch.Tensor, activation: torch.Tensor) -> None:
        values = activation.flatten(0, 1).index_select(0, row.to(activation.device)).float()
        if not bool(values.isfinite().all()):
            raise ActivationError(
                f"blocks.{layer}.{hook_point}: Activations of a sequence are NaN or infinite. The model itself "
                "computes them: run it in --dtype float32, or check its weights."
            )
        low, high = extremes[layer]
        np.minimum(low, values.amin(0).cpu().numpy(), out=low)
        np.maximum(high, values.amax(0).cpu().numpy(), out=high)

    for batch in sequence_batches(inputs.dataset, sample, 1):
        tokens = CountedTokens.of(batch, numbers, [])
        if len(tokens.row):
            hooks = {f"blocks.{layer}.{hook_point}": partial(note, layer, tokens.row) for layer in inputs.layers}
            inputs.model.run(batch.tokens, batch.mask, hooks)
    return {layer: _around(n_bin, low, high) for layer, (low, high) in extremes.items()}


def _around(n_bin: int, low: np.ndarray, high: np.ndarray) -> Bins:
    """Return bins around extremes; of width one in all for a neuron whose activation never changes."""
    seen = low <= high
    low, high = np.where(seen, low, 0), np.where(seen, high, 0)
    margin = np.where(high > low, MARGIN * (high - low), 0.5)
    return Bins.between(n_bin, (low - margin).astype(np.float32), (high + margin).astype(np.float32))


def save_bins(path: Path, owner: str, bins: LayerBins) -> LayerBins:
    """Write bins, unless another process has written bins before; return those in the file.

    Raises
    ------
    StoreError
        When the file cannot be written, or as `load_bins`.
    """
    arrays = {
        f"{layer}/{end}": torch.from_numpy(getattr(each, end))
        for layer, each in bins.items()
        for end in ("low", "high")
    }
    n_bin = next(iter(bins.values())).n_bin
    with writing_errors(path.parent, path):
        write_new_file(path, tensor_bytes(owner, arrays, {}))  # the first process to come here decides the bins of all
    return load_bins(path, owner, n_bin)


def load_bins(path: Path, owner: str, n_bin: int) -> LayerBins:
    """Read bins.

    Raises
    ------
    FileNotFoundError
        When there is no file.
    CorruptStoreError
        When the file is damaged.
    StoreError
        When it belongs to another plan.
    """
    arrays, _ = load_tensors(path, owner)
    layers = sorted({int(name.split("/")[0]) for name in arrays})
    return {layer: Bins(n_bin, arrays[f"{layer}/low"].numpy(), arrays[f"{layer}/high"].numpy()) for layer in layers}
