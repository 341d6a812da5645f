"""All statistics of one layer: over all tokens, over the tokens of each class, and the examples at both ends."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from probing_datasets.foundation.errors import StoreError
from sparse_probing.activations.statistics.bins import Bins
from sparse_probing.activations.statistics.extreme_examples import ExtremeExamples
from sparse_probing.activations.statistics.neuron_statistics import NeuronStatistics, Tensors
from sparse_probing.activations.statistics.token_classes import CountedTokens

LARGEST, SMALLEST, LOW, HIGH = "largest", "smallest", "low", "high"


@dataclass
class LayerStatistics:
    """Statistics of the neurons of one layer at one hook point."""

    all_tokens: NeuronStatistics
    by_class: list[NeuronStatistics]
    largest: ExtremeExamples
    smallest: ExtremeExamples
    bins: Bins
    """The bins of each neuron."""

    @classmethod
    def empty(cls, width: int, bins: Bins, k: int, n_classes: int) -> LayerStatistics:
        """Return statistics over no token."""
        by_class = [NeuronStatistics.empty(width, bins) for _ in range(n_classes)]
        ends = (ExtremeExamples.empty(width, k, "largest"), ExtremeExamples.empty(width, k, "smallest"))
        return cls(NeuronStatistics.empty(width, bins), by_class, *ends, bins)

    def update(self, activation: torch.Tensor, tokens: CountedTokens) -> None:
        """Add a batch.

        Parameters
        ----------
        activation : (batch, length, d) float
            Activations at every position; the statistics are moved to their device.
        tokens : CountedTokens
            The positions that are counted.

        Raises
        ------
        ActivationError
            When one of these activations is NaN or infinite.
        """
        if activation.device.type == "mps":  # it has no float64
            activation = activation.cpu()
        if self.largest.keys.device != activation.device:
            self.largest.to(activation.device)
            self.smallest.to(activation.device)
            for group in self._groups:
                group.to(activation.device)
        tokens = tokens.to(activation.device)
        rows = activation.flatten(0, 1)
        lowest, highest = self.all_tokens.update(rows, tokens.row, self.bins)
        self.largest.update(rows, tokens.row, tokens.token, highest)
        self.smallest.update(rows, tokens.row, tokens.token, lowest)
        for statistics, members in zip(self.by_class, tokens.members, strict=True):
            statistics.update(rows, tokens.row[members], self.bins)

    def merge(self, other: LayerStatistics) -> None:
        """Add the statistics over other tokens.

        Raises
        ------
        StoreError
            When the other statistics were counted in other bins.
        """
        if not (np.array_equal(self.bins.low, other.bins.low) and np.array_equal(self.bins.high, other.bins.high)):
            raise StoreError("The processes have counted in different bins. Start all of them again with --overwrite.")
        for mine, theirs in zip(self._groups, other._groups, strict=True):
            mine.merge(theirs)
        self.largest.merge(other.largest)
        self.smallest.merge(other.smallest)

    def tensors(self) -> Tensors:
        """Return all tensors, on the host, by name."""
        named = {f"{i}.{name}": t for i, group in enumerate(self._groups) for name, t in group.tensors().items()}
        ends = {LARGEST: self.largest.keys, SMALLEST: self.smallest.keys}
        bins = {LOW: torch.tensor(self.bins.low), HIGH: torch.tensor(self.bins.high)}
        return {name: tensor.cpu().contiguous() for name, tensor in {**named, **ends, **bins}.items()}

    @classmethod
    def from_tensors(cls, tensors: Tensors) -> LayerStatistics:
        """Return the statistics of which `tensors` returned the tensors."""
        grouped: dict[int, Tensors] = {}
        for name in tensors.keys() - {LARGEST, SMALLEST, LOW, HIGH}:
            number, field = name.split(".")
            grouped.setdefault(int(number), {})[field] = tensors[name]
        all_tokens, *by_class = (NeuronStatistics(**grouped[number]) for number in sorted(grouped))
        bins = Bins(all_tokens.counts.shape[1] - 2, tensors[LOW].numpy(), tensors[HIGH].numpy())
        ends = (ExtremeExamples(tensors[LARGEST], "largest"), ExtremeExamples(tensors[SMALLEST], "smallest"))
        return cls(all_tokens, by_class, *ends, bins)

    @property
    def _groups(self) -> list[NeuronStatistics]:
        return [self.all_tokens, *self.by_class]
