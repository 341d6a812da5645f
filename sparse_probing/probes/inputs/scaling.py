"""Centre and scale the neurons of a layer by its training rows, and bring coefficients back to stored activations.

A ridge on coefficients means something only on a known scale. Models differ in theirs by orders of magnitude,
and so do the layers of one model.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from probing_datasets.foundation.errors import ProbeError
from sparse_probing.probes.inputs.blocks import column_blocks
from sparse_probing.probes.inputs.validation import Floats, Integers


def centre_rows(design: Floats) -> Floats:
    """Subtract its mean from every row of ``design`` (p, n), in place; return the means (p,)."""
    means = design.mean(axis=1)
    design -= means[:, None]
    return means


def centred_columns(X: NDArray, out: Floats | None = None) -> tuple[Floats, Floats]:
    """Return the column means (p,) of ``X`` (n, p) and the centred columns as rows (p, n), float64.

    ``out`` (p, n), if given, receives the centred columns.
    """
    design = np.empty(X.shape[::-1]) if out is None else out
    design[:] = X.T
    return centre_rows(design), design


def undo_scaling(
    coef: Floats, intercept: float | Floats, mean: NDArray, scale: NDArray | None = None
) -> tuple[Floats, Floats]:
    """Bring a linear function of ``(x - mean) / scale`` back to the stored activations ``x``.

    Parameters
    ----------
    coef : (k,) or (K, k) array
        Coefficients of k scaled neurons, of one function or of K.
    intercept : float or (K,) array
    mean : (k,) array
    scale : (k,) array, optional
        Without it neurons were only centred.

    Returns
    -------
    coef : (k,) or (K, k) array
    intercept : () or (K,) array
        With them ``x`` has the scores that the scaled neurons have with the arguments.
    """
    stored = coef if scale is None else coef / scale
    return stored, intercept - stored @ mean


Scaling = Literal["rms", "unit", "paper", "none"]
"""How neurons are scaled for a fit; see :meth:`Standardiser.of`."""

PAPER_DEVIATIONS = 10.0
"""Standard deviations by which Gurnee et al. (2023) divide a neuron with ``--normalize_activations``."""
PAPER_LEAST_DEVIATION = 1e-3
"""Smaller deviations count there as this one."""


def root_mean_square(X: NDArray, rows: Integers | None = None) -> float:
    """Return the root mean square distance of the neurons of a layer from their means on some rows.

    Parameters
    ----------
    X : (N, d) array
        Activations of any real dtype.
    rows : (n,) array of int, optional
        Rows of ``X``; all by default.

    Returns
    -------
    float
        1 where all neurons are constant. The means are left out because an intercept that is not
        penalised absorbs them: adding a number to a neuron changes no probe. An orthogonal rotation of
        the layer does not change the result either.
    """
    total = 0.0
    for _, block in column_blocks(X, rows):
        centre_rows(block)
        total += float(np.vecdot(block, block).sum())
    n = len(X) if rows is None else len(rows)
    return float(np.sqrt(total / n / X.shape[1])) or 1.0


@dataclass(frozen=True)
class Standardiser:
    """What is subtracted from every neuron, and what it is divided by."""

    mean: np.ndarray
    """(width,) float32."""
    deviation: np.ndarray
    """(width,) float32; 1 where a neuron is constant."""

    @classmethod
    def of(cls, train: np.ndarray, scaling: Scaling = "unit", rms: float | None = None) -> Standardiser | None:
        """Measure training rows.

        Parameters
        ----------
        train : (n, width) array
        scaling : {"rms", "unit", "paper", "none"}
            "rms" divides all neurons by one number, :func:`root_mean_square`. "unit" gives every neuron mean 0
            and deviation 1. "paper" divides every neuron by ten times its deviation and does not centre it,
            as Gurnee et al. (2023) do. "none" changes nothing.
        rms : float, optional
            The number of "rms" where ``train`` has only some neurons of a layer; that of ``train`` by default.

        Returns
        -------
        Standardiser or None
            None for "none".
        """
        if scaling == "none":
            return None
        width = train.shape[1]
        if scaling == "rms":
            rms = root_mean_square(train) if rms is None else rms
            return cls(np.zeros(width, np.float32), np.full(width, rms, np.float32))
        deviation = train.std(0, dtype=np.float64).astype(np.float32)
        if scaling == "paper":
            divisor = np.float32(PAPER_DEVIATIONS) * np.maximum(deviation, np.float32(PAPER_LEAST_DEVIATION))
            return cls(np.zeros(width, np.float32), divisor)
        deviation[(train.min(0) == train.max(0)) | (deviation == 0)] = 1
        return cls(train.mean(0, dtype=np.float64).astype(np.float32), deviation)

    def apply(self, rows: np.ndarray) -> np.ndarray:
        """Scale rows (n, width); float16 becomes float32."""
        return (rows - self.mean) / self.deviation if self.mean.any() else rows / self.deviation

    def undo(self, support: np.ndarray, coef: Floats, intercept: float | Floats) -> tuple[Floats, Floats]:
        """Return coefficients and intercept for stored activations of a probe of the neurons ``support`` (k,).

        Of one function, (k,) and (), or of K, (K, k) and (K,).
        """
        mean, deviation = (values[support].astype(np.float64) for values in (self.mean, self.deviation))
        return undo_scaling(coef, intercept, mean, deviation)


@dataclass(frozen=True)
class ScaledColumns:
    """Scaled columns ``z_j = (x_j - mean_j) / scale_j`` of a layer, computed when they are needed."""

    stored: NDArray
    """(n, d) float32 or float64, each column contiguous."""
    mean: Floats
    """(d,)"""
    scale: Floats
    """(d,) standard deviations, or ones; infinite where a neuron is constant, which makes its column zero."""

    @classmethod
    def of(cls, X: NDArray, standardize: bool) -> ScaledColumns:
        """Measure activations (n, d); float16 is converted to float32.

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
        """Return the columns of ``neurons`` (k,) as the rows of a (k, n) array."""
        columns = np.ascontiguousarray(self.stored.T[neurons], dtype=np.float64)
        columns -= self.mean[neurons, None]
        columns /= self.scale[neurons, None]
        return columns

    def undo(self, support: Integers, coef: Floats, intercept: float) -> tuple[Floats, float]:
        """Return coefficients (k,) and intercept of a probe of the columns ``support`` for stored activations."""
        stored, stored_intercept = undo_scaling(coef, intercept, self.mean[support], self.scale[support])
        return stored, float(stored_intercept)
