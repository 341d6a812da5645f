"""Checks of the activations, labels and targets that a probe is fitted to, and the weights of rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from probing_datasets.foundation.errors import ProbeError

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Booleans = NDArray[np.bool_]

ClassWeight = Literal["balanced", "none"]

COLUMNS_AT_ONCE = 64
"""Columns that are checked at once, so that no mask of a whole layer is made."""


@dataclass(frozen=True)
class LabelledRows:
    """The training rows of a feature, or of a control of it, in a layer."""

    row: Integers
    """(n,) row numbers of the layer, increasing."""
    label: Floats
    """(n,) -1/+1."""


# ---- activations


def check_matrix(X: ArrayLike) -> NDArray:
    """Return activations (n, d), in their dtype, after a check of their shape and kind.

    Raises
    ------
    ProbeError
        If ``X`` is not a matrix of real numbers, or has no row or no column.
    """
    matrix = np.asarray(X)
    if matrix.ndim != 2 or 0 in matrix.shape:
        raise ProbeError(f"Activations must be a non-empty (rows, neurons) matrix; got shape {matrix.shape}.")
    if matrix.dtype.kind in "cmMOSU":
        raise ProbeError(f"Activations must be real numbers; got dtype {matrix.dtype}. Convert them to float32.")
    return matrix


def check_activations(X: ArrayLike) -> NDArray:
    """Return activations (n, d), in their dtype, after a check that they are finite.

    Raises
    ------
    ProbeError
        If :func:`check_matrix` refuses ``X``, or ``X`` contains NaN or infinity.
    """
    activations = check_matrix(X)
    for first in range(0, activations.shape[1], COLUMNS_AT_ONCE):
        tile = activations[:, first : first + COLUMNS_AT_ONCE]
        finite = _finite_float16(tile) if tile.dtype == np.float16 else np.isfinite(tile)
        if not finite.all():
            row, column = np.argwhere(~finite)[0] + (0, first)
            value = activations[row, column]
            raise ProbeError(f"Row {row}, column {column} is {value}. Harvest with a wider dtype.")
    return activations


def _finite_float16(values: NDArray) -> Booleans:
    """Return which values are finite: ten times as fast as NumPy, from the exponent bits."""
    return (values.view(np.int16) & 0x7C00) != 0x7C00


# ---- labels of two classes


def check_labels(y: ArrayLike) -> Floats:
    """Return labels (n,) as float64 after a check that they are -1 and +1 and that both occur.

    Raises
    ------
    ProbeError
        If ``y`` is not a vector, is empty, contains other values, or has one class only.
    """
    labels = _non_empty_vector(y)
    positive = labels == 1
    if not (positive | (labels == -1)).all():
        raise ProbeError("Labels must be -1 or +1. Recode the two classes first.")
    if positive.all() or not positive.any():
        label = "+1" if positive.all() else "-1"
        raise ProbeError(f"All {labels.size} labels are {label}. A probe needs rows of both classes.")
    return np.where(positive, 1.0, -1.0)


def as_signed_labels(y: ArrayLike) -> tuple[Floats, Any, Any]:
    """Recode labels of any two classes to -1 and +1.

    Parameters
    ----------
    y : (n,) array
        0/1, booleans, -1/+1, or any two values that can be sorted, such as strings. The positive
        class is 1, True or +1; of two other values it is the second in sorted order.

    Returns
    -------
    labels : (n,) float64 array
        +1 for rows of the positive class, -1 for the others.
    positive_class, negative_class
        The two values of ``y``, as Python objects.

    Raises
    ------
    ProbeError
        If ``y`` is not a non-empty vector, contains a missing or infinite label, cannot be
        sorted, or does not have exactly two classes.

    Examples
    --------
    >>> as_signed_labels([0, 1, 1])
    (array([-1.,  1.,  1.]), 1, 0)
    >>> as_signed_labels(["prose", "code", "prose"])
    (array([ 1., -1.,  1.]), 'prose', 'code')
    """
    labels = _non_empty_vector(y)
    kind = labels.dtype.kind
    missing = kind in "fc" and not np.isfinite(labels).all()
    missing |= kind == "O" and any(value is None or value != value for value in labels.tolist())  # NaN is not itself
    if missing:
        raise ProbeError("Some labels are NaN, infinite or None. Remove the rows without a label.")
    try:
        classes, codes = np.unique(labels, return_inverse=True)
    except TypeError as error:
        raise ProbeError("The labels cannot be sorted. Use values of one type, for example all strings.") from error
    values = classes.tolist()
    if len(values) == 1:
        raise ProbeError(f"The labels have only one class, {values[0]!r}. A probe needs rows of two classes.")
    if len(values) > 2:
        names = ", ".join(repr(value) for value in values[:5])
        raise ProbeError(
            f"The labels have {len(values)} classes ({names}{', ...' if len(values) > 5 else ''}). "
            "A binary probe needs two: compare one class with all others."
        )
    negative_class, positive_class = values
    return np.where(codes == 1, 1.0, -1.0), positive_class, negative_class


def check_rows(X: ArrayLike, y: ArrayLike) -> tuple[NDArray, Floats]:
    """Return activations (n, d), in their dtype, and labels (n,) after a check of both.

    Raises
    ------
    ProbeError
        If :func:`check_activations` refuses ``X`` or :func:`check_labels` refuses ``y``, or
        if there is not one label per row.
    """
    activations, labels = check_activations(X), check_labels(y)
    _check_one_label_per_row(len(activations), labels)
    return activations, labels


def check_labelled_rows(feature: LabelledRows, n_rows: int) -> LabelledRows:
    """Return the rows and labels of a feature after a check that they fit a layer of ``n_rows`` rows.

    Raises
    ------
    ProbeError
        If rows do not increase or are not in the layer, if :func:`check_labels` refuses the
        labels, or if there is not one label per row.
    """
    row, label = np.asarray(feature.row), check_labels(feature.label)
    if row.ndim != 1 or not np.issubdtype(row.dtype, np.integer) or (np.diff(row) <= 0).any():
        raise ProbeError("Row numbers must be an increasing vector of integers. Sort them and their labels first.")
    _check_one_label_per_row(len(row), label)
    if row[0] < 0 or row[-1] >= n_rows:
        raise ProbeError(f"Rows {row[0]} to {row[-1]} are not all among the {n_rows} rows of the layer.")
    return LabelledRows(row.astype(np.int64), label)


def _non_empty_vector(y: ArrayLike) -> NDArray:
    labels = np.asarray(y)
    if labels.ndim != 1 or labels.size == 0:
        raise ProbeError(f"Labels must be a non-empty vector with one label per row; got shape {labels.shape}.")
    return labels


def _check_one_label_per_row(n_rows: int, labels: Floats) -> None:
    if n_rows != len(labels):
        raise ProbeError(f"There are {n_rows} rows but {len(labels)} labels. Pass one label per row.")


# ---- real targets and several classes


def check_targets(X: ArrayLike, y: ArrayLike) -> tuple[NDArray, Floats]:
    """Return activations (n, d), in their dtype, and real targets (n,) after a check of both.

    Raises
    ------
    ProbeError
        If :func:`check_activations` refuses ``X``, or if ``y`` is not a vector of one finite
        number per row or has one value only.
    """
    activations, targets = check_activations(X), np.asarray(y)
    _check_one_target_per_row(activations, targets)
    if targets.dtype.kind not in "biuf" or not np.isfinite(targets).all():
        raise ProbeError("Regression targets must be finite real numbers. Remove rows without a target.")
    targets = targets.astype(np.float64)
    if (targets == targets[0]).all():
        raise ProbeError(f"All {len(targets)} targets are {targets[0]}. A probe needs targets that differ.")
    return activations, targets


def check_classes(X: ArrayLike, y: ArrayLike) -> tuple[NDArray, NDArray, Integers]:
    """Return activations (n, d), in their dtype, the sorted classes (K,) and the class of every row (n,).

    Classes of rows are codes from 0 to K - 1.

    Raises
    ------
    ProbeError
        If :func:`check_activations` refuses ``X``, or if ``y`` is not a vector of one class per
        row, contains NaN or infinity, or has one class only.
    """
    activations, labels = check_activations(X), np.asarray(y)
    _check_one_target_per_row(activations, labels)
    if labels.dtype.kind == "f" and not np.isfinite(labels).all():
        raise ProbeError("Some classes are NaN or infinite. Remove rows without a class.")
    classes, codes = np.unique(labels, return_inverse=True)
    if len(classes) < 2:
        raise ProbeError(
            f"All {len(labels)} rows are of class {classes[0]}. A probe needs rows of two or more classes."
        )
    return activations, classes, codes.astype(np.int64)


def _check_one_target_per_row(activations: NDArray, y: NDArray) -> None:
    if y.ndim != 1 or len(y) != len(activations):
        raise ProbeError(
            f"There are {len(activations)} rows but targets of shape {y.shape}. Pass a vector of one target per row."
        )


# ---- sizes of supports


def check_ks(ks: Sequence[int], p: int) -> list[int]:
    """Return the sizes of nested supports in ascending order, without repetitions.

    Raises
    ------
    ProbeError
        If there is none, or one is not between 1 and ``p``, the number of ranked neurons.
    """
    sizes = sorted({int(k) for k in ks})
    if not sizes or sizes[0] < 1 or sizes[-1] > p:
        raise ProbeError(f"Cannot fit k in {sizes} to {p} ranked neurons. Choose every k between 1 and {p}.")
    return sizes


# ---- weights of rows


def row_weights(y: Floats, C: float, class_weight: ClassWeight, sample_weight: ArrayLike | None = None) -> Floats:
    """Return the weight (n,) of every row in the loss: C times its class weight times its sample weight.

    "balanced" gives both classes the same total; a row of sample weight 2 counts as two rows.

    Raises
    ------
    ProbeError
        If ``C`` is not positive, or ``sample_weight`` is not a vector of n positive numbers.
    """
    check_C(C)
    weights = np.ones(len(y)) if sample_weight is None else np.asarray(sample_weight, dtype=np.float64)
    if weights.shape != y.shape or not (np.isfinite(weights) & (weights > 0)).all():
        raise ProbeError(f"Row weights must be {len(y)} positive numbers. Remove the rows that must not count.")
    if class_weight == "none":
        return C * weights
    positive = weights[y > 0].sum()
    return C * weights * weights.sum() / 2 / np.where(y > 0, positive, weights.sum() - positive)


def class_weights(codes: Integers, class_weight: ClassWeight) -> Floats:
    """Return the weight (n,) of every row: n / (K n_class) if "balanced", otherwise 1."""
    if class_weight == "none":
        return np.ones(len(codes))
    counts = np.bincount(codes)
    return (len(codes) / len(counts) / counts)[codes]


def check_C(C: float) -> None:
    """Check that the weight of the loss is positive.

    Raises
    ------
    ProbeError
        If it is not.
    """
    if not C > 0:
        raise ProbeError(f"C is {C}; it must be positive. A smaller C is a stronger ridge.")
