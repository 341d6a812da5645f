"""Bases of a layer: its neurons, or directions that no single neuron is, as a control.

Where single neurons mean no more than random directions, a sparse probe does as well in any basis.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from probing_datasets.foundation.errors import ProbeError

Basis = Callable[[ArrayLike, np.random.Generator], NDArray]
"""``basis(X (N, d), rng) -> X' (N, d)``; the same generator state gives the same directions."""

ROWS_AT_ONCE = 1024
"""Rows widened to float32 for one product."""


def neurons(X: ArrayLike, rng: np.random.Generator) -> NDArray:  # noqa: ARG001
    """Return the layer as it is, without a copy."""
    return _layer(X)


def rotation(X: ArrayLike, rng: np.random.Generator) -> NDArray:
    """Turn the layer (N, d) by a random orthogonal matrix, drawn uniformly (Haar); float32.

    Distances and angles between rows stay, so a dense probe knows neither more nor less. The
    matrix takes d^2 float32 beside the result.

    Raises
    ------
    ProbeError
        If ``X`` is no non-empty matrix.
    """
    layer = _layer(X)
    return _product(layer, random_orthogonal(layer.shape[1], rng))


def projection(X: ArrayLike, rng: np.random.Generator) -> NDArray:
    """Project the layer (N, d) on d independent Gaussian directions of length about 1; float32.

    Unlike a rotation it is not orthogonal, and loses what its least singular directions held.

    Raises
    ------
    ProbeError
        If ``X`` is no non-empty matrix.
    """
    layer = _layer(X)
    d = layer.shape[1]
    directions = rng.standard_normal((d, d), dtype=np.float32)
    directions /= np.sqrt(np.float32(d))
    return _product(layer, directions)


def random_orthogonal(d: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Draw a (d, d) orthogonal matrix uniformly (from Haar's measure).

    References
    ----------
    Mezzadri, How to Generate Random Matrices from the Classical Compact Groups (Notices of the
    AMS 2007): QR of a Gaussian matrix is uniform once the diagonal of R is made positive.
    """
    gaussian = rng.standard_normal((d, d), dtype=np.float32)
    # Half again as fast as SciPy's.
    orthogonal, triangle = torch.linalg.qr(torch.from_numpy(gaussian))
    return (orthogonal * torch.where(triangle.diagonal() < 0, -1, 1)).numpy()


def _layer(X: ArrayLike) -> NDArray:
    layer = np.asarray(X)
    if layer.ndim != 2 or 0 in layer.shape:
        raise ProbeError(f"Activations of shape {layer.shape} are no non-empty (rows, neurons) matrix.")
    return layer


def _product(layer: NDArray, directions: NDArray[np.float32]) -> NDArray[np.float32]:
    """Multiply some rows at a time, so that no second float32 copy of the layer is made."""
    turned = np.empty(layer.shape, dtype=np.float32)
    for start in range(0, len(layer), ROWS_AT_ONCE):
        rows = slice(start, start + ROWS_AT_ONCE)
        np.matmul(layer[rows].astype(np.float32, copy=False), directions, out=turned[rows])
    return turned


BASES: dict[str, Basis] = {"neurons": neurons, "rotation": rotation, "projection": projection}
