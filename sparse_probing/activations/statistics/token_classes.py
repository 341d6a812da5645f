"""Which tokens of a data set are counted, and in which classes of features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from probing_datasets.feature_dataset import FeatureDataset
from sparse_probing.activations.model_pass.batches import Batch


@dataclass(frozen=True)
class TokenNumbers:
    """Numbers of the tokens of a data set, sequence after sequence, special tokens included."""

    first: np.ndarray
    """(n_sequences,) int64: number of the first token of each sequence."""

    @classmethod
    def of(cls, dataset: FeatureDataset) -> TokenNumbers:
        """Return the numbering of a data set."""
        return cls(np.cumsum(dataset.lengths) - dataset.lengths)

    def number(self, sequence: np.ndarray, position: np.ndarray) -> np.ndarray:
        """Return the numbers of tokens."""
        return self.first[sequence] + position

    def place(self, number: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return sequence and position of tokens."""
        sequence = np.searchsorted(self.first, number, side="right") - 1
        return sequence, number - self.first[sequence]


@dataclass(frozen=True)
class TokenClass:
    """The probed tokens of a feature with one label."""

    feature: str
    label: float
    token: np.ndarray
    """(m,) int64: numbers of the tokens, increasing."""

    def among(self, token: np.ndarray) -> np.ndarray:
        """Return which of the given tokens belong to the class: (n,) bool."""
        place = np.searchsorted(self.token, token)
        return self.token[np.minimum(place, len(self.token) - 1)] == token


def token_classes(dataset: FeatureDataset) -> list[TokenClass]:
    """Return the classes of all binary and multiclass features."""
    numbers = TokenNumbers.of(dataset)
    classes = []
    for feature in sorted(set(dataset.features) - set(regression_features(dataset))):
        probes = dataset.feature_probes(feature)
        token = numbers.number(probes.sequence, probes.position)
        for label in np.unique(probes.label):
            classes.append(TokenClass(feature, float(label), np.sort(token[probes.label == label])))
    return classes


def regression_features(dataset: FeatureDataset) -> list[str]:
    """Return the names of the features without classes."""
    return [name for name, info in dataset.description.features.items() if info.kind == "regression"]


@dataclass(frozen=True)
class CountedTokens:
    """The tokens of a batch that are counted: neither padding nor special tokens."""

    row: torch.Tensor
    """(n,) int64: index of each token among the batch x length positions of the batch."""
    token: torch.Tensor
    """(n,) int64: number of each token in the data set."""
    members: list[torch.Tensor]
    """For each class, (m,) int64: the indices of its tokens among the n tokens."""

    @classmethod
    def of(cls, batch: Batch, numbers: TokenNumbers, classes: Sequence[TokenClass]) -> CountedTokens:
        """Return the counted tokens of a batch."""
        sequence, position = batch.poolable.numpy().nonzero()
        token = numbers.number(batch.members[sequence], position)
        row = sequence * batch.tokens.shape[1] + position
        members = [torch.from_numpy(c.among(token).nonzero()[0]) for c in classes]
        return cls(torch.from_numpy(row), torch.from_numpy(token), members)

    def to(self, device: torch.device) -> CountedTokens:
        """Return the tokens on a device."""
        return CountedTokens(self.row.to(device), self.token.to(device), [m.to(device) for m in self.members])
