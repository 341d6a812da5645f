"""Bins of a histogram, equal to those of NumPy to the last value."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch


@dataclass(frozen=True)
class Bins:
    """Bins of equal width; a bin holds its lower edge, the last one its upper edge too."""

    n_bin: int
    low: float
    high: float

    @property
    def edges(self) -> np.ndarray:
        """(n_bin + 1,) float32: the edges that `numpy.histogram` has for float32 values."""
        return np.histogram_bin_edges(np.empty(0, np.float32), self.n_bin, (self.low, self.high))

    @property
    def n_codes(self) -> int:
        """Number of codes: one for values below the bins, one for each bin, one for values above."""
        return self.n_bin + 2

    def codes(self, values: torch.Tensor) -> torch.Tensor:
        """Return the code of every value: 0 below the bins, 1 to n_bin inside, n_bin + 1 above.

        Arithmetic finds the bin of all values but those within rounding of an edge, which are looked up
        among the edges.

        Parameters
        ----------
        values : (n, d) float32
            Finite.

        Returns
        -------
        (n, d) int32
        """
        shift = torch.tensor(1 - self.low * self._scale, dtype=values.dtype, device=values.device)
        place = torch.add(shift, values, alpha=self._scale).clamp_(0.5, self.n_bin + 1.5)
        codes = place.to(torch.int32)
        near_edge = (place.round().sub_(place).abs_() < self._rounding).nonzero(as_tuple=True)
        codes[near_edge] = torch.bucketize(values[near_edge], self._lookup(values.device), right=True, out_int32=True)
        return codes

    @property
    def _scale(self) -> float:
        return self.n_bin / (self.high - self.low)

    @property
    def _rounding(self) -> float:
        """Bound on the error of a place: sixteen times the rounding of the largest number that it is made of."""
        return 2**-20 * (1 + self._scale * max(abs(self.low), abs(self.high), self.high - self.low))

    def _lookup(self, device: torch.device) -> torch.Tensor:
        """Edges, the last one just above itself, so that the last bin holds it."""
        edges = self.edges.copy()
        edges[-1] = np.nextafter(edges[-1], np.float32(np.inf))
        return torch.from_numpy(edges).to(device)
