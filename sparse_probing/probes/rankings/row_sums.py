"""Sums over the rows of many features of a layer, all in one pass over it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sparse_probing.probes.inputs.blocks import tiles
from sparse_probing.probes.inputs.validation import Booleans, Floats, Integers, LabelledRows

GROUP = 8
"""Rows of every matrix product: libraries add in another order for other shapes."""


def product(left: NDArray, right: NDArray) -> NDArray:
    """Multiply matrices so that no row of the result depends, in its last digit, on the other rows.

    Parameters
    ----------
    left : (n, m) array
        Of any dtype; ``GROUP`` rows at a time are converted to the dtype of ``right``.
    right : (m, d) array

    Returns
    -------
    (n, d) array of the dtype of ``right``
    """
    result = np.empty((len(left), right.shape[1]), right.dtype)
    for first in range(0, len(left), GROUP):
        rows = left[first : first + GROUP]
        group = np.zeros((GROUP, left.shape[1]), right.dtype)
        group[: len(rows)] = rows
        result[first : first + GROUP] = (group @ right)[: len(rows)]
    return result


def sums_over_sets(X: NDArray, sets: Booleans, n_squared: int = 0) -> tuple[Floats, Floats, Floats]:
    """Sum centred columns, and their squares, over sets of rows.

    In float64, tile by tile of the layer; float32 would take half the time and lose four digits
    of a small difference between sums.

    Parameters
    ----------
    X : (N, d) array
    sets : (n_sets, N) array of bool
    n_squared : int
        Squares are summed for this number of sets, the first ones.

    Returns
    -------
    sums : (n_sets, d) array of float64
        Sums of the centred columns.
    squares : (n_squared, d) array of float64
        Sums of their squares.
    centre : (d,) array of float64
        The value that was subtracted from a column: the mean of a few rows, so that squares keep
        their digits.
    """
    centre = X[:: max(1, len(X) // 16)].mean(axis=0, dtype=np.float64)
    sums, squares = np.zeros((len(sets), X.shape[1])), np.zeros((n_squared, X.shape[1]))
    for rows, columns, tile in tiles(X):
        tile -= centre[columns]
        sums[:, columns] += product(sets[:, rows], tile)
        if n_squared:
            squares[:, columns] += product(sets[:n_squared, rows], np.square(tile, out=tile))
    return sums, squares, centre


def sets_of_rows(features: Sequence[LabelledRows], n_rows: int) -> tuple[Booleans, Integers]:
    """Return the members (n_sets, n_rows) of every distinct set of rows, and the set (n_features,) of every feature."""
    numbers: dict[bytes, int] = {}
    set_of_feature = np.array([numbers.setdefault(f.row.tobytes(), len(numbers)) for f in features])
    members = np.zeros((len(numbers), n_rows), dtype=np.bool_)
    for number, feature in zip(set_of_feature, features, strict=True):
        members[number, feature.row] = True
    return members, set_of_feature


def ratio_or_zero(numerator: Floats, denominator: Floats) -> Floats:
    """Return ``numerator / denominator``: 0 for 0 / 0, infinity for other divisions by zero."""
    defined = (numerator > 0) | (denominator > 0)
    with np.errstate(divide="ignore"):
        return np.divide(numerator, denominator, out=np.zeros_like(numerator), where=defined)
