"""Attention pooling with the interface of the other learners: NaN behind the end of a text replaces the mask."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from numpy.typing import NDArray
from torch import Tensor

from sparse_probing.online.learners.attention import Attention, AttentionFit, AttentionSettings
from sparse_probing.online.learners.label_sets import LabelSet

TEXTS = 64
"""Texts whose scores are computed at once."""


def mask_of(texts: Tensor) -> Tensor:
    """Return where padded texts (n, length, d) have a token (n, length)."""
    return ~texts[..., 0].isnan()


class PaddedAttention:
    """The attention poolings of all label sets of one place while they are trained.

    Parameters
    ----------
    width : int
        Neurons d.
    label_sets : sequence of LabelSet
    settings : AttentionSettings
    device : torch.device or str
        Of the activations.
    """

    def __init__(
        self, width: int, label_sets: Sequence[LabelSet], settings: AttentionSettings, device: torch.device | str
    ) -> None:
        self._attention = Attention(width, label_sets, settings, device)
        self.device = self._attention.device

    def update(self, texts: Tensor, labels: Tensor) -> None:
        """Learn from texts (m, length, d) with labels (m, S), as :meth:`Attention.update`."""
        self._attention.update(texts, mask_of(texts), labels)

    def finish(self, texts: Tensor, labels: Tensor) -> list[AttentionFit]:
        """Return the probe of each label set, chosen on validation texts (v, length, d) with labels (v, S)."""
        parts = zip(texts.split(TEXTS), labels.split(TEXTS), strict=True)
        return self._attention.finish((part, mask_of(part), of_part) for part, of_part in parts)

    def scores(self, texts: Tensor) -> Tensor:
        """Return the present scores (m, outputs) of texts (m, length, d)."""
        return torch.cat([self._attention.scores(part, mask_of(part)) for part in texts.split(TEXTS)])

    def state(self) -> dict[str, NDArray]:
        """Return everything that a resume needs, by name."""
        return self._attention.state()

    def load(self, state: dict[str, NDArray]) -> None:
        """Continue from what `state` returned: the numbers that follow are the same to the bit."""
        self._attention.load(state)
