"""Checks of the activations and labels that every probe is given, and blocks of them in wider precision."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from probing_datasets.foundation.errors import ProbeError

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Booleans = NDArray[np.bool_]

ClassWeight = Literal["balanced", "none"]

BLOCK_ELEMENTS = 2**16
"""Elements of a float64 block (512 KiB): small enough that the few arrays of a fit stay in the cache."""

TILE_ROWS, TILE_COLUMNS = 1024, 64
"""Of a layer that is read once: 512 KiB of float64."""


@dataclass(frozen=True)
class LabelledRows:
    """The training rows of a feature, or of a control, among the rows of a layer."""

    row: Integers
    """(n,) row numbers of the layer, increasing."""
    label: Floats
    """(n,) -1/+1."""


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


def check_activations(X: ArrayLike) -> NDArray:
    """Return activations (n, d), in the dtype they have, after checking that they are finite.

    Raises
    ------
    ProbeError
        If ``X`` is no non-empty matrix, or holds NaN or infinity.
    """
    activations = np.asarray(X)
    if activations.ndim != 2 or 0 in activations.shape:
        raise ProbeError(f"Activations of shape {activations.shape} are no non-empty (rows, neurons) matrix.")
    for first in range(0, activations.shape[1], TILE_COLUMNS):
        finite = _is_finite(activations[:, first : first + TILE_COLUMNS])
        if not finite.all():
            row, column = np.argwhere(~finite)[0] + (0, first)
            value = activations[row, column]
            raise ProbeError(f"Row {row}, column {column} is {value}. Harvest with a wider dtype.")
    return activations


def _is_finite(values: NDArray) -> Booleans:
    """Return which values are finite; of float16 from the bits, ten times as fast as NumPy."""
    if values.dtype != np.float16:
        return np.isfinite(values)
    return (values.view(np.int16) & 0x7C00) != 0x7C00


def check_rows(X: ArrayLike, y: ArrayLike) -> tuple[NDArray, Floats]:
    """Return activations (n, d), in the dtype they have, and labels (n,) after checking both.

    Raises
    ------
    ProbeError
        If :func:`check_activations` refuses ``X`` or :func:`check_labels` refuses ``y``, or
        if there is not one label per row.
    """
    activations, labels = check_activations(X), check_labels(y)
    if len(activations) != len(labels):
        raise ProbeError(f"{len(activations)} rows but {len(labels)} labels. Pass one label per row.")
    return activations, labels


def check_problem(problem: LabelledRows, n_rows: int) -> LabelledRows:
    """Return a problem on a layer of ``n_rows`` rows after checking its rows and labels.

    Raises
    ------
    ProbeError
        If rows do not increase or are not in the layer, if :func:`check_labels` refuses the
        labels, or if there is not one label per row.
    """
    row, label = np.asarray(problem.row), check_labels(problem.label)
    if row.ndim != 1 or not np.issubdtype(row.dtype, np.integer) or (np.diff(row) <= 0).any():
        raise ProbeError("Row numbers must be an increasing vector of integers. Sort them and their labels first.")
    if len(row) != len(label):
        raise ProbeError(f"{len(row)} rows but {len(label)} labels. Pass one label per row.")
    if row[0] < 0 or row[-1] >= n_rows:
        raise ProbeError(f"Rows {row[0]} to {row[-1]} are not all among the {n_rows} rows of the layer.")
    return LabelledRows(row.astype(np.int64), label)


def row_weights(y: Floats, C: float, class_weight: ClassWeight, sample_weight: ArrayLike | None = None) -> Floats:
    """Return the weight (n,) of every row in the loss: C times its class weight times its own.

    "balanced" gives both classes the same total; a row of weight 2 counts as two rows.

    Raises
    ------
    ProbeError
        If ``C`` is not positive, or ``sample_weight`` is no vector of positive numbers (n,).
    """
    if not C > 0:
        raise ProbeError(f"C is {C}; it must be positive. The smaller it is, the stronger the ridge.")
    own = np.ones(len(y)) if sample_weight is None else np.asarray(sample_weight, dtype=np.float64)
    if own.shape != y.shape or not (np.isfinite(own) & (own > 0)).all():
        raise ProbeError(f"Row weights must be {len(y)} positive numbers. Leave out rows that shall not count.")
    if class_weight == "none":
        return C * own
    positive = own[y > 0].sum()
    return C * own * own.sum() / 2 / np.where(y > 0, positive, own.sum() - positive)


def widened(values: NDArray) -> Floats:
    """Return a float64 copy that keeps the memory order.

    NumPy widens float16 one number at a time; PyTorch is several times as fast.
    """
    if values.dtype != np.float16:
        return values.astype(np.float64)
    turned = abs(values.strides[0]) < abs(values.strides[-1])
    # A copy first: PyTorch warns of arrays that cannot be written to.
    narrow = torch.from_numpy(np.array(values.T if turned else values, order="C"))
    wide = narrow.to(torch.float64).numpy()
    return wide.T if turned else wide


def tiles(X: NDArray) -> Iterator[tuple[slice, slice, Floats]]:
    """Yield ``(rows, columns, tile)`` over all of ``X`` (n, d): copies, in float64 and the memory order of ``X``."""
    n, d = X.shape
    for first_column in range(0, d, TILE_COLUMNS):
        columns = slice(first_column, min(first_column + TILE_COLUMNS, d))
        for first_row in range(0, n, TILE_ROWS):
            rows = slice(first_row, min(first_row + TILE_ROWS, n))
            yield rows, columns, widened(X[rows, columns])


def column_blocks(X: NDArray, rows: Integers | None = None) -> Iterator[tuple[slice, Floats]]:
    """Yield ``(columns, block)``: some columns of ``X`` (n, d) as a contiguous float64 (b, n) block.

    With ``rows`` (m,) given, blocks are (b, m) and hold these rows alone.
    """
    n, d = X.shape
    width = max(4, BLOCK_ELEMENTS // n)
    for start in range(0, d, width):
        columns = slice(start, min(start + width, d))
        chosen = X[:, columns].T if rows is None else X[:, columns].T.take(rows, axis=1)
        yield columns, np.ascontiguousarray(widened(chosen))


def check_targets(X: ArrayLike, y: ArrayLike) -> tuple[NDArray, Floats]:
    """Return activations (n, d), in the dtype they have, and real targets (n,) after checking both.

    Raises
    ------
    ProbeError
        If ``X`` is refused by :func:`sparse_probing.probes.validation.check_activations`, or if ``y``
        is not a vector of one finite number per row or has one value only.
    """
    activations, targets = check_activations(X), np.asarray(y)
    _check_one_per_row(activations, targets)
    if targets.dtype.kind not in "biuf" or not np.isfinite(targets).all():
        raise ProbeError("Regression targets must be finite real numbers. Remove rows without a target.")
    targets = targets.astype(np.float64)
    if (targets == targets[0]).all():
        raise ProbeError(f"All {len(targets)} targets are {targets[0]}. A probe needs targets that differ.")
    return activations, targets


def check_classes(X: ArrayLike, y: ArrayLike) -> tuple[NDArray, NDArray, Integers]:
    """Return activations (n, d), in the dtype they have, the sorted classes (K,) and their codes (n,).

    Raises
    ------
    ProbeError
        If ``X`` is refused by :func:`sparse_probing.probes.validation.check_activations`, or if ``y``
        is not a vector of one class per row, holds NaN, or has one class only.
    """
    activations, labels = check_activations(X), np.asarray(y)
    _check_one_per_row(activations, labels)
    if labels.dtype.kind == "f" and not np.isfinite(labels).all():
        raise ProbeError("Some classes are NaN or infinite. Remove rows without a class.")
    classes, codes = np.unique(labels, return_inverse=True)
    if len(classes) < 2:
        raise ProbeError(
            f"All {len(labels)} rows are of class {classes[0]}. A probe needs rows of two classes or more."
        )
    return activations, classes, codes.astype(np.int64)


def class_weights(codes: Integers, class_weight: ClassWeight) -> Floats:
    """Return the weight of every row (n,): n / (K n_class) if "balanced", otherwise 1."""
    if class_weight == "none":
        return np.ones(len(codes))
    counts = np.bincount(codes)
    return (len(codes) / len(counts) / counts)[codes]


def _check_one_per_row(activations: NDArray, y: NDArray) -> None:
    if y.ndim != 1 or len(y) != len(activations):
        raise ProbeError(f"{len(activations)} rows but targets of shape {y.shape}. Pass one target per row.")
