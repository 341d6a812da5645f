"""Directions with a closed form: class means, and linear discriminants.

Both give class c the score ``m_c' A x - m_c' A m_c / 2 + log of its share`` with the class means m: of two classes the
difference of the scores. ``mass_mean`` has A = 1, ``lda`` the inverse of the covariance within classes, shrunk
towards a multiple of the identity. Where no neuron varies within classes, both are ``mass_mean``.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import eigh

from probing_datasets.foundation.errors import ProbeError
from sparse_probing.probes.inputs.validation import Floats, check_classes

SHRINKAGES = (0.9, 0.5, 0.2, 0.1, 0.03, 0.01)
"""Shares of the identity from which that of ``lda`` is chosen."""


def mass_mean(X: ArrayLike, codes: ArrayLike) -> tuple[Floats, Floats]:
    """Return coefficients (K, d) and intercepts (K,) of the nearest class mean; of two classes (1, d) and (1,).

    Parameters
    ----------
    X : (n, d) array
    codes : (n,) array
        Classes, two or more.

    References
    ----------
    Marks and Tegmark, The Geometry of Truth (2023), section 5.
    """
    X, _, numbers = check_classes(X, codes)
    means, shares = _class_means(X, numbers)
    return _one_function_of_two(means, np.log(shares) - np.square(means).sum(axis=1) / 2)


def lda(X: ArrayLike, codes: ArrayLike, shrinkages: Sequence[float] = SHRINKAGES) -> tuple[Floats, Floats]:
    """Return coefficients (m, K, d) and intercepts (m, K) of linear discriminants with m shrinkages.

    Parameters
    ----------
    X : (n, d) array
    codes : (n,) array
        Classes, two or more; of two, K is 1.
    shrinkages : sequence of float
        Share s of the covariance ``(1 - s) S + s trace(S) / d``; above 0, at most 1.

    Raises
    ------
    ProbeError
        If a shrinkage is outside its range.

    Notes
    -----
    One eigendecomposition, of the smaller of the covariance (d, d) and the products of rows (n, n), serves all
    shrinkages.

    References
    ----------
    Friedman, Regularized Discriminant Analysis (JASA 1989).
    """
    X, _, numbers = check_classes(X, codes)
    if not all(0 < share <= 1 for share in shrinkages):
        raise ProbeError(f"Shrinkages {tuple(shrinkages)} must be above 0 and at most 1.")
    means, shares = _class_means(X, numbers)
    within = (X - means[numbers]) / np.sqrt(len(X))
    n, d = within.shape
    total = float(np.square(within).sum())
    if not total > 0:  # such as the embedding of a token that ends every prompt: only the means are left
        nearest = _one_function_of_two(means, np.log(shares) - np.square(means).sum(axis=1) / 2)
        return np.stack([nearest[0]] * len(shrinkages)), np.stack([nearest[1]] * len(shrinkages))
    values, vectors = eigh(within.T @ within if d <= n else within @ within.T)
    regular = values > values[-1] * 1e-10
    values, vectors = values[regular], vectors[:, regular]
    basis = vectors if d <= n else within.T @ vectors / np.sqrt(values)  # (d, r), orthonormal
    inside = means @ basis
    coef, intercept = [], []
    for share in shrinkages:
        floor = share * total / d
        # In the basis the covariance is diagonal; outside it is the floor.
        scaled = means / floor + (inside * (1 / ((1 - share) * values + floor) - 1 / floor)) @ basis.T
        pair = _one_function_of_two(scaled, np.log(shares) - np.vecdot(scaled, means) / 2)
        coef.append(pair[0])
        intercept.append(pair[1])
    return np.stack(coef), np.stack(intercept)


def _class_means(X: NDArray, numbers: NDArray) -> tuple[Floats, Floats]:
    """Return the means (K, d) and shares (K,) of the classes."""
    counts = np.bincount(numbers)
    is_class = (numbers == np.arange(len(counts))[:, None]).astype(np.float64)
    return is_class @ X.astype(np.float64) / counts[:, None], counts / len(numbers)


def _one_function_of_two(coef: Floats, intercept: Floats) -> tuple[Floats, Floats]:
    return (coef[1:] - coef[:1], intercept[1:] - intercept[:1]) if len(coef) == 2 else (coef, intercept)
