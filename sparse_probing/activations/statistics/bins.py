"""Bins of a histogram; every value is counted in the same bin as by NumPy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch


@dataclass(frozen=True)
class Bins:
    """Bins of equal width; a bin contains its lower edge, and the last bin also its upper edge."""

    n_bin: int
    low: float
    high: float

    @property
    def edges(self) -> np.ndarray:
        """The edges of `numpy.histogram` for float32 values: (n_bin + 1,) float32."""
        return np.histogram_bin_edges(np.empty(0, np.float32), self.n_bin, (self.low, self.high))

    @property
    def n_codes(self) -> int:
        """Number of codes: one for values below the bins, one for each bin, one for values above."""
        return self.n_bin + 2

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
        scale = self.n_bin / (self.high - self.low)
        shift = torch.tensor(1 - self.low * scale, dtype=values.dtype, device=values.device)
        place = torch.add(shift, values, alpha=scale).clamp_(0.5, self.n_bin + 1.5)
        codes = place.to(torch.int32)

        # Bound on the error of a place: sixteen times the rounding of the largest number in its computation.
        rounding = 2**-20 * (1 + scale * max(abs(self.low), abs(self.high), self.high - self.low))
        near_edge = (place.round().sub_(place).abs_() < rounding).nonzero(as_tuple=True)

        # The last edge is moved up by one float32, so that the last bin contains it.
        edges = self.edges.copy()
        edges[-1] = np.nextafter(edges[-1], np.float32(np.inf))
        lookup = torch.from_numpy(edges).to(values.device)
        codes[near_edge] = torch.bucketize(values[near_edge], lookup, right=True, out_int32=True)
        return codes
