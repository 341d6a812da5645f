"""Checks and float64 views of the activations and labels that every probe is given."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray

from probing_datasets.foundation.errors import ProbeError

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Booleans = NDArray[np.bool_]

BLOCK_ELEMENTS = 2**16
"""Elements of a float64 block (512 KiB): small enough that the few arrays of a fit stay in the cache."""


def check_labels(y: ArrayLike) -> Floats:
    """Return the labels as float64 after checking that both classes, -1 and +1, are there.

    Raises
    ------
    ProbeError
        If ``y`` is not a vector, is empty, holds other values, or only one class.
    """
    labels = np.asarray(y)
    if labels.ndim != 1 or labels.size == 0:
        raise ProbeError(f"Labels of shape {labels.shape} are no non-empty vector. Pass one label per row.")
    positive = labels == 1
    if not (positive | (labels == -1)).all():
        raise ProbeError("Labels must be -1 or +1. Recode the two classes first.")
    if positive.all() or not positive.any():
        only = "+1" if positive.all() else "-1"
        raise ProbeError(f"All {labels.size} labels are {only}. A probe needs rows of both classes.")
    return np.where(positive, 1.0, -1.0)


def check_rows(X: ArrayLike, y: ArrayLike) -> tuple[NDArray, Floats]:
    """Return activations (n, d), in the dtype they have, and labels (n,) after checking both.

    Raises
    ------
    ProbeError
        If ``X`` is no non-empty matrix with one row per label or holds NaN or infinity,
        or if :func:`check_labels` refuses ``y``.
    """
    activations, labels = np.asarray(X), check_labels(y)
    if activations.ndim != 2 or 0 in activations.shape:
        raise ProbeError(f"Activations of shape {activations.shape} are no non-empty (rows, neurons) matrix.")
    if len(activations) != len(labels):
        raise ProbeError(f"{len(activations)} rows but {len(labels)} labels. Pass one label per row.")
    finite = np.isfinite(activations)
    if not finite.all():
        row, column = np.argwhere(~finite)[0]
        value = activations[row, column]
        raise ProbeError(f"Row {row}, column {column} is {value}. Harvest with a wider dtype.")
    return activations, labels


def column_blocks(X: NDArray) -> Iterator[tuple[slice, Floats]]:
    """Yield ``(columns, block)``: some columns of ``X`` (n, d) as a contiguous float64 (b, n) block."""
    n, d = X.shape
    width = max(4, BLOCK_ELEMENTS // n)
    for start in range(0, d, width):
        columns = slice(start, min(start + width, d))
        # Widening before turning is half as slow as both in one copy.
        yield columns, np.ascontiguousarray(X[:, columns].astype(np.float64).T)


def row_blocks(X: NDArray) -> Iterator[tuple[slice, Floats]]:
    """Yield ``(rows, block)``: some rows of ``X`` (n, d) as a (b, d) float64 block."""
    n, d = X.shape
    height = max(4, BLOCK_ELEMENTS // d)
    for start in range(0, n, height):
        rows = slice(start, min(start + height, n))
        yield rows, X[rows].astype(np.float64)
