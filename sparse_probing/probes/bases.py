"""Bases of a layer: its neurons, or random directions as a control.

Where single neurons are no more informative than random directions, a sparse probe is equally good
in any basis.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sparse_probing.probes.inputs.validation import check_matrix

Basis = Callable[[ArrayLike, np.random.Generator], NDArray]
"""``basis(X (N, d), rng) -> X' (N, d)``; the same generator state gives the same directions."""

ROWS_AT_ONCE = 1024
"""Rows widened to float32 for one product."""


def neurons(X: ArrayLike, rng: np.random.Generator) -> NDArray:  # noqa: ARG001
    """Return the layer itself, without a copy."""
    return check_matrix(X)


def rotation(X: ArrayLike, rng: np.random.Generator) -> NDArray:
    """Multiply the layer (N, d) by a random orthogonal matrix, drawn uniformly (Haar); float32.

    Distances and angles between rows do not change, so a dense probe has the same information. The
    matrix takes d^2 float32 in addition to the result.

    Raises
    ------
    ProbeError
        If ``X`` is not a non-empty matrix of real numbers.
    """
    layer = check_matrix(X)
    return _product(layer, random_orthogonal(layer.shape[1], rng))


def projection(X: ArrayLike, rng: np.random.Generator) -> NDArray:
    """Project the layer (N, d) on d independent Gaussian directions of length about 1; float32.

    Unlike a rotation it is not orthogonal: the directions of its smallest singular values are lost.

    Raises
    ------
    ProbeError
        If ``X`` is not a non-empty matrix of real numbers.
    """
    layer = check_matrix(X)
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
    import torch  # here, because only rotations need it, for a QR that is 1.5 times as fast as SciPy's

    orthogonal, triangle = torch.linalg.qr(torch.from_numpy(gaussian))
    return (orthogonal * torch.where(triangle.diagonal() < 0, -1, 1)).numpy()


def _product(layer: NDArray, directions: NDArray[np.float32]) -> NDArray[np.float32]:
    """Multiply a few rows at a time, so that the layer is not copied to float32 as a whole."""
    rotated = np.empty(layer.shape, dtype=np.float32)
    for start in range(0, len(layer), ROWS_AT_ONCE):
        rows = slice(start, start + ROWS_AT_ONCE)
        np.matmul(layer[rows].astype(np.float32, copy=False), directions, out=rotated[rows])
    return rotated


BASES: dict[str, Basis] = {"neurons": neurons, "rotation": rotation, "projection": projection}
