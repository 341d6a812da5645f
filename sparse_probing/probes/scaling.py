"""Scale the neurons of a layer by its training rows, whole or as columns on demand, and undo the scaling."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from probing_datasets.foundation.errors import ProbeError
from sparse_probing.probes.validation import Floats, Integers, column_blocks, widened


@dataclass(frozen=True)
class Standardiser:
    """Mean and standard deviation of every neuron on training rows."""

    mean: np.ndarray
    """(width,) float32."""
    deviation: np.ndarray
    """(width,) float32; 1 where a neuron is constant."""

    @classmethod
    def of(cls, train: np.ndarray) -> Standardiser:
        """Measure training rows (n, width)."""
        deviation = train.std(0, dtype=np.float64).astype(np.float32)
        deviation[deviation == 0] = 1
        return cls(train.mean(0, dtype=np.float64).astype(np.float32), deviation)

    def apply(self, rows: np.ndarray) -> np.ndarray:
        """Standardise rows (n, width) by the training rows' figures."""
        return (rows - self.mean) / self.deviation

    def undo(self, support: np.ndarray, coef: np.ndarray, intercept: float) -> tuple[np.ndarray, float]:
        """Return the coefficients and intercept that give the same scores on activations as they are stored."""
        stored = coef / self.deviation[support].astype(np.float64)
        return stored, float(intercept - stored @ self.mean[support].astype(np.float64))


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
