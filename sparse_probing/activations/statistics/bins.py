"""Bins of the histograms of neurons; every value is counted in the same bin as by NumPy."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch


@dataclass(frozen=True, eq=False)
class Bins:
    """Bins of equal width for each of d neurons; a bin contains its lower edge, and the last bin also its upper edge.

    Examples
    --------
    >>> bins = Bins.between(4, [0.0, -1.0], [1.0, 1.0])
    >>> bins.edges
    array([[ 0.  ,  0.25,  0.5 ,  0.75,  1.  ],
           [-1.  , -0.5 ,  0.  ,  0.5 ,  1.  ]], dtype=float32)
    >>> bins.codes(torch.tensor([[0.3, -0.3], [1.0, 2.0]]))
    tensor([[2, 2],
            [4, 5]], dtype=torch.int32)
    """

    n_bin: int
    low: np.ndarray
    """(d,) float64: lower edge of the first bin of each neuron."""
    high: np.ndarray
    """(d,) float64: upper edge of the last bin of each neuron."""

    @classmethod
    def between(cls, n_bin: int, low: np.ndarray | list[float], high: np.ndarray | list[float]) -> Bins:
        """Return bins between the edges of each neuron."""
        return cls(n_bin, np.array(low, np.float64), np.array(high, np.float64))

    @cached_property
    def edges(self) -> np.ndarray:
        """The edges of `numpy.histogram` for float32 values: (d, n_bin + 1) float32."""
        return np.linspace(self.low, self.high, self.n_bin + 1, axis=1).astype(np.float32)

    @property
    def n_codes(self) -> int:
        """Number of codes: one for values below the bins, one for each bin, one for values above."""
        return self.n_bin + 2

    def columns(self, columns: slice) -> Bins:
        """Return the bins of some of the neurons; the same object for the same neurons."""
        key = (columns.start, columns.stop)
        if key not in self._pieces:
            self._pieces[key] = Bins(self.n_bin, self.low[columns], self.high[columns])
        return self._pieces[key]

    def codes(self, values: torch.Tensor) -> torch.Tensor:
        """Return the code of every value: 0 below the bins, 1 to n_bin inside, n_bin + 1 above.

        Arithmetic finds the bin of a value, except within rounding of an edge; these values are looked up
        among the edges.

        Parameters
        ----------
        values : (n, d) float32
            Finite values.

        Returns
        -------
        (n, d) int32
        """
        if values.device not in self._tensors:
            scale = self.n_bin / (self.high - self.low)
            largest = np.maximum(np.maximum(np.abs(self.low), np.abs(self.high)), self.high - self.low)
            # Bound on the error of a place: sixteen times the rounding of the largest number in its computation.
            rounding = 2**-20 * (1 + scale * largest)
            # The last edge is moved up by one float32, so that the last bin contains it.
            edges = self.edges.copy()
            edges[:, -1] = np.nextafter(edges[:, -1], np.float32(np.inf))
            arrays = (1 - self.low * scale, scale, rounding, edges)
            self._tensors[values.device] = [
                torch.from_numpy(array).to(device=values.device, dtype=torch.float32) for array in arrays
            ]
        shift, scale, rounding, edges = self._tensors[values.device]

        place = torch.addcmul(shift, values, scale).clamp_(0.5, self.n_bin + 1.5)
        codes = place.to(torch.int32)
        near_edge = (place.round().sub_(place).abs_() < rounding).nonzero(as_tuple=True)
        looked_up = torch.searchsorted(edges[near_edge[1]], values[near_edge][:, None], right=True, out_int32=True)
        codes[near_edge] = looked_up[:, 0]
        return codes

    @cached_property
    def _pieces(self) -> dict[tuple[int, int], Bins]:
        return {}

    @cached_property
    def _tensors(self) -> dict[torch.device, list[torch.Tensor]]:
        """What `codes` computes with, on each device."""
        return {}
