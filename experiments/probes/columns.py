"""The neurons of a layer as centred, perhaps standardised, float64 columns, without a float64 copy of the layer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from experiments.probes.inputs import Floats, Integers, column_blocks, widened
from probing_datasets.foundation.errors import ProbeError


@dataclass(frozen=True)
class Columns:
    """Columns ``z_j = (x_j - mean_j) / scale_j``, made when they are asked for."""

    stored: NDArray
    """(n, d) float32 or float64, columns in one piece."""
    mean: Floats
    """(d,)"""
    scale: Floats
    """(d,) standard deviations, or ones; infinite where a neuron is constant, which makes its column zero."""

    @classmethod
    def of(cls, X: NDArray, standardize: bool) -> Columns:
        """Measure activations (n, d); float16 is kept as float32.

        Raises
        ------
        ProbeError
            If every neuron is constant.
        """
        stored = np.asfortranarray(X, dtype=np.promote_types(X.dtype, np.float32))
        mean, scale = np.empty(X.shape[1]), np.ones(X.shape[1])
        for columns, block in column_blocks(stored):
            mean[columns] = block.mean(axis=1)
            if standardize:
                scale[columns] = block.std(axis=1)
            scale[columns][block.min(axis=1) == block.max(axis=1)] = np.inf
        if np.isinf(scale).all():
            raise ProbeError(f"All {len(scale)} neurons are constant on these rows. Nothing can be learned from them.")
        return cls(stored, mean, scale)

    def correlate(self, vector: Floats) -> Floats:
        """Return the inner products (d,) of all columns with a vector (n,)."""
        products = np.empty(len(self.mean))
        for columns, block in column_blocks(self.stored):
            products[columns] = block @ vector
        return (products - self.mean * vector.sum()) / self.scale

    def take(self, neurons: Integers) -> Floats:
        """Return some columns as the rows of a (k, n) array."""
        chosen = np.ascontiguousarray(self.stored.T[neurons], dtype=np.float64)
        chosen -= self.mean[neurons, None]
        chosen /= self.scale[neurons, None]
        return chosen


def centred_columns(X: NDArray) -> tuple[Floats, Floats]:
    """Return the column means (p,) of ``X`` (n, p) and the centred columns as rows (p, n) of float64."""
    design = np.ascontiguousarray(widened(X).T)
    means = design.mean(axis=1)
    design -= means[:, None]
    return means, design
