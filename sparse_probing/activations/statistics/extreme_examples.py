"""The tokens with the largest or the smallest activations of each neuron, found in one pass."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import torch

MAX_TOKENS = 2**32
"""Tokens of a data set that a key can number."""
EMPTY = torch.iinfo(torch.int64).min

End = Literal["largest", "smallest"]
"""Which activations of a neuron are its examples. Neither end is the active one: the neurons of a gated MLP have both
signs, and a probe may use a neuron at either end."""


class Examples(NamedTuple):
    """Examples of d neurons, the most extreme of each neuron first; missing examples are at the end."""

    value: np.ndarray
    """(d, k) float32."""
    token: np.ndarray
    """(d, k) int64: number of the token in the data set."""
    there: np.ndarray
    """(d, k) bool: False where fewer than k tokens were seen."""


@dataclass
class ExtremeExamples:
    """The k largest or smallest activations of each of d neurons, and the tokens they belong to.

    An example is one integer: the value (for the smallest its negative), in a form with the same order, in the
    upper 32 bits, and the number of the token, counted from the last, in the lower 32 bits. So of equal values the
    earlier token is larger, no two examples are equal, and the result depends only on the set of tokens, not on
    their order.
    """

    keys: torch.Tensor
    """(d, k) int64, decreasing; `EMPTY` where fewer than k tokens were seen."""
    end: End = "largest"

    @classmethod
    def empty(cls, width: int, k: int, end: End = "largest") -> ExtremeExamples:
        """Return no examples, on the host."""
        return cls(torch.full((width, k), EMPTY), end)

    def to(self, device: torch.device) -> None:
        """Move the examples to a device."""
        self.keys = self.keys.to(device)

    def update(self, activations: torch.Tensor, row: torch.Tensor, token: torch.Tensor, extreme: torch.Tensor) -> None:
        """Add tokens.

        Parameters
        ----------
        activations : (m, d) float
            Activations.
        row : (n,) int64
            The rows of ``activations`` that are added.
        token : (n,) int64
            Number of each token in the data set, less than `MAX_TOKENS`; no token is added twice.
        extreme : (d,) float32
            Maximum over these rows, or their minimum when the examples are the smallest.
        """
        if not len(row):
            return
        # After some batches most neurons have no value in a batch that is among their k largest; they are skipped.
        columns = (_keys(self._oriented(extreme), token.min()) > self.keys[:, -1]).nonzero()[:, 0]
        if not len(columns):
            return
        values = self._oriented(activations.index_select(1, columns).index_select(0, row).float())
        k = self.keys.shape[1]

        # A bound for each column: smaller values cannot be among the k largest.
        last = self.keys[columns, -1]
        if len(values) < k or (last != EMPTY).all():
            bound = torch.where(last == EMPTY, -torch.inf, _values(last))
        else:
            bound = values.topk(k, dim=0).values[-1]
        row_of, column_of = (values >= bound).nonzero(as_tuple=True)
        keys = _keys(values[row_of, column_of], token[row_of])
        candidates = _by_column(keys, column_of, len(columns), k)
        self.keys[columns] = _largest(torch.cat([self.keys[columns], candidates], 1), k)

    def merge(self, other: ExtremeExamples) -> None:
        """Add the examples of other tokens."""
        self.keys = _largest(torch.cat([self.keys, other.keys], 1), self.keys.shape[1])

    def examples(self) -> Examples:
        """Return the values and tokens."""
        keys = self.keys.cpu().numpy()
        values = self._oriented(_values(self.keys)) + 0.0  # without minus zero
        return Examples(values.cpu().numpy(), MAX_TOKENS - 1 - keys % MAX_TOKENS, keys != EMPTY)

    def _oriented(self, values: torch.Tensor) -> torch.Tensor:
        """Return values of which the largest are the examples."""
        return values if self.end == "largest" else -values


def _by_column(keys: torch.Tensor, column: torch.Tensor, n_columns: int, k: int) -> torch.Tensor:
    """Return the k largest keys of each column: (n_columns, k) int64, `EMPTY` where there are fewer."""
    order = keys.argsort(descending=True)
    order = order[column[order].argsort(stable=True)]
    keys, column = keys[order], column[order]
    first = torch.searchsorted(column, torch.arange(n_columns, device=keys.device))
    rank = torch.arange(len(keys), device=keys.device) - first[column]
    result = torch.full((n_columns, k), EMPTY, device=keys.device)
    result[column[rank < k], rank[rank < k]] = keys[rank < k]
    return result


def _largest(keys: torch.Tensor, k: int) -> torch.Tensor:
    return keys.topk(k, dim=1).values


def _keys(values: torch.Tensor, token: torch.Tensor) -> torch.Tensor:
    """Return the key of each value and token; minus zero counts as zero."""
    return (_flip_negative((values + 0.0).view(torch.int32)).long() << 32) + (MAX_TOKENS - 1 - token)


def _values(keys: torch.Tensor) -> torch.Tensor:
    """Return the float32 values of keys."""
    return _flip_negative((keys >> 32).to(torch.int32)).view(torch.float32)


def _flip_negative(bits: torch.Tensor) -> torch.Tensor:
    """Map the bits of floats to integers with the same order; the map is its own inverse."""
    return torch.where(bits < 0, bits ^ 0x7FFFFFFF, bits)
