"""Sums over the rows of many features of a layer, all in one pass over it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sparse_probing.probes.validation import Booleans, Floats, Integers, LabelledRows, tiles

GROUP = 8
"""Rows of every matrix product: libraries add in another order for other shapes."""


def product(left: NDArray, right: NDArray) -> NDArray:
    """Multiply matrices so that no row of the result depends, in its last digit, on the other rows.

    Parameters
    ----------
    left : (n, m) array
        Of any dtype; ``GROUP`` rows at a time are brought to the dtype of ``right``.
    right : (m, d) array

    Returns
    -------
    (n, d) array of the dtype of ``right``
    """
    result = np.empty((len(left), right.shape[1]), right.dtype)
    for first in range(0, len(left), GROUP):
        some = left[first : first + GROUP]
        group = np.zeros((GROUP, left.shape[1]), right.dtype)
        group[: len(some)] = some
        result[first : first + GROUP] = (group @ right)[: len(some)]
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
        For how many of the sets, the first ones, squares are summed.

    Returns
    -------
    (n_sets, d), (n_squared, d), (d,) arrays of float64
        Sums of centred columns, of their squares, and what was taken off: the mean of a few
        rows, so that squares keep their digits.
    """
    centre = X[:: max(1, len(X) // 16)].mean(axis=0, dtype=np.float64)
    sums, squares = np.zeros((len(sets), X.shape[1])), np.zeros((n_squared, X.shape[1]))
    for rows, columns, tile in tiles(X):
        tile -= centre[columns]
        sums[:, columns] += product(sets[:, rows], tile)
        if n_squared:
            squares[:, columns] += product(sets[:n_squared, rows], np.square(tile, out=tile))
    return sums, squares, centre


def sets_of_rows(problems: Sequence[LabelledRows], n_rows: int) -> tuple[Booleans, Integers]:
    """Return the members of every distinct set of rows (n_sets, n_rows), and the set of every problem."""
    places: dict[bytes, int] = {}
    own = np.array([places.setdefault(p.row.tobytes(), len(places)) for p in problems])
    members = np.zeros((len(places), n_rows), dtype=np.bool_)
    for place, problem in zip(own, problems, strict=True):
        members[place, problem.row] = True
    return members, own


def moments(X: NDArray, members: Booleans) -> tuple[Floats, Floats]:
    """Return mean and standard deviation, each (n_sets, d), on sets of rows (n_sets, N)."""
    sums, squares, centre = sums_over_sets(X, members, len(members))
    n_rows = members.sum(axis=1, keepdims=True)
    return centre + sums / n_rows, np.sqrt(np.maximum(squares / n_rows - (sums / n_rows) ** 2, 0))
