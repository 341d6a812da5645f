"""All statistics of one layer: over all tokens, over the tokens of each class, and the top examples."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from sparse_probing.activations.statistics.bins import Bins
from sparse_probing.activations.statistics.neuron_statistics import NeuronStatistics, Tensors
from sparse_probing.activations.statistics.token_classes import CountedTokens
from sparse_probing.activations.statistics.top_examples import TopExamples

TOP = "top"


@dataclass
class LayerStatistics:
    """Statistics of the neurons of one layer at one hook point."""

    all_tokens: NeuronStatistics
    by_class: list[NeuronStatistics]
    top: TopExamples

    @classmethod
    def empty(cls, width: int, bins: Bins, k: int, n_classes: int) -> LayerStatistics:
        """Return statistics over no token."""
        by_class = [NeuronStatistics.empty(width, bins) for _ in range(n_classes)]
        return cls(NeuronStatistics.empty(width, bins), by_class, TopExamples.empty(width, k))

    def update(self, activation: torch.Tensor, tokens: CountedTokens, bins: Bins) -> None:
        """Add a batch.

        Parameters
        ----------
        activation : (batch, length, d) float
            Activations at every position; the statistics are moved to their device.
        tokens : CountedTokens
            The positions that are counted.
        bins : Bins
            The bins of the statistics.

        Raises
        ------
        ActivationError
            When one of these activations is NaN or infinite.
        """
        if activation.device.type == "mps":  # it has no float64
            activation = activation.cpu()
        if self.top.keys.device != activation.device:
            self.top.to(activation.device)
            for group in self._groups:
                group.to(activation.device)
        tokens = tokens.to(activation.device)
        rows = activation.flatten(0, 1)
        highest = self.all_tokens.update(rows, tokens.row, bins)
        self.top.update(rows, tokens.row, tokens.token, highest)
        for statistics, members in zip(self.by_class, tokens.members, strict=True):
            statistics.update(rows, tokens.row[members], bins)

    def merge(self, other: LayerStatistics) -> None:
        """Add the statistics over other tokens."""
        for mine, theirs in zip(self._groups, other._groups, strict=True):
            mine.merge(theirs)
        self.top.merge(other.top)

    def tensors(self) -> Tensors:
        """Return all tensors, on the host, by name."""
        named = {f"{i}.{name}": t for i, group in enumerate(self._groups) for name, t in group.tensors().items()}
        return {name: tensor.cpu() for name, tensor in {**named, TOP: self.top.keys}.items()}

    @classmethod
    def from_tensors(cls, tensors: Tensors) -> LayerStatistics:
        """Return the statistics of which `tensors` returned the tensors."""
        grouped: dict[int, Tensors] = {}
        for name in tensors.keys() - {TOP}:
            number, field = name.split(".")
            grouped.setdefault(int(number), {})[field] = tensors[name]
        all_tokens, *by_class = (NeuronStatistics(**grouped[number]) for number in sorted(grouped))
        return cls(all_tokens, by_class, TopExamples(tensors[TOP]))

    @property
    def _groups(self) -> list[NeuronStatistics]:
        return [self.all_tokens, *self.by_class]
