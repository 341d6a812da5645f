"""The space of the rows of a wide matrix: where the optimum of every penalised linear probe lies."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import qr
from scipy.linalg.lapack import dormqr

from sparse_probing.probes.inputs.validation import Floats

BLOCK = 64
"""Columns of a block of reflections, as LAPACK suggests."""


@dataclass(frozen=True)
class RowSpace:
    """An orthonormal basis of the space of n rows of d > n columns, as the reflections of a QR decomposition.

    The basis itself is never formed, which takes as long as the decomposition.
    """

    coordinates: Floats
    """(n, n): column i holds the coordinates of row i in the basis."""
    _reflections: NDArray
    _factors: NDArray

    @classmethod
    def of(cls, columns: Floats) -> RowSpace:
        """Decompose the rows of a matrix, given as columns (d, n); ``columns`` is overwritten."""
        (reflections, factors), triangle = qr(columns, mode="raw", overwrite_a=True, check_finite=False)
        return cls(triangle[: columns.shape[1]], reflections, factors)

    def lift(self, coefficients: Floats) -> Floats:
        """Return coefficients of the d columns (..., d) from coefficients of the coordinates (..., n)."""
        d, n = self._reflections.shape
        padded = np.zeros((d, coefficients.size // n), order="F")
        padded[:n] = coefficients.reshape(-1, n).T
        lifted, _, _ = dormqr("L", "N", self._reflections, self._factors, padded, BLOCK * d, overwrite_c=True)
        return lifted.T.reshape(*coefficients.shape[:-1], d)
