"""Metrics of probes whose classes have an order, such as very happy to very sad."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from probing_datasets.foundation.errors import ProbeError


def step_error(confusion: ArrayLike) -> float:
    """Return by how many steps of the order predictions are wrong, on average.

    Parameters
    ----------
    confusion : (c, c) array of int
        Rows by true class and predicted class, both in the order of the classes.

    Raises
    ------
    ProbeError
        If the matrix is not square, or empty.
    """
    counts, distance = _checked(confusion)
    return float((counts * np.abs(distance)).sum() / counts.sum())


def quadratic_kappa(confusion: ArrayLike) -> float:
    """Return Cohen's kappa with quadratic weights: 1 for right predictions, 0 for those independent of the class.

    Parameters
    ----------
    confusion : (c, c) array of int
        Rows by true class and predicted class, both in the order of the classes.

    Returns
    -------
    float
        0 where all rows have one class and are predicted to have it.

    Raises
    ------
    ProbeError
        If the matrix is not square, or empty.

    References
    ----------
    Cohen, Weighted Kappa (Psychological Bulletin 1968).

    Examples
    --------
    >>> quadratic_kappa([[5, 0, 0], [0, 5, 0], [0, 0, 5]])
    1.0
    """
    counts, distance = _checked(confusion)
    independent = np.outer(counts.sum(axis=1), counts.sum(axis=0)) / counts.sum()
    expected = (independent * distance**2).sum()
    return float(1 - (counts * distance**2).sum() / expected) if expected > 0 else 0.0


def _checked(confusion: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Return the counts (c, c) in float64, and the steps between true and predicted class (c, c)."""
    counts = np.asarray(confusion, dtype=np.float64)
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1] or not counts.sum() > 0:
        raise ProbeError(f"A confusion matrix must be square, and have rows; got shape {counts.shape}.")
    place = np.arange(len(counts))
    return counts, place - place[:, None]
