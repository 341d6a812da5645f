"""L1-regularised probes along a path of strengths: logistic, lasso and, with ``l1_ratio`` below 1, elastic net.

Every fit starts from the one before and stops on its duality gap.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from probing_datasets.foundation.errors import ProbeError
from sparse_probing.probes.inputs.scaling import ScaledColumns
from sparse_probing.probes.inputs.validation import ClassWeight, Floats, check_rows, check_targets, class_weights
from sparse_probing.probes.l1.losses import LogisticLoss, Loss, SquaredLoss
from sparse_probing.probes.l1.path_following import SparsePath, follow_path
from sparse_probing.probes.l1.proximal_newton import Penalty, null_correlation

RANGE = 100.0
"""Ratio of the last strength of a default path to that of the null model."""


def fit_l1_path(
    X: ArrayLike,
    y: ArrayLike,
    Cs: Sequence[float] | None = None,
    n_Cs: int = 20,
    max_support: int | None = None,
    l1_ratio: float = 1.0,
    class_weight: ClassWeight = "balanced",
    standardize: bool = True,
    tolerance: float = 1e-6,
    max_iter: int = 100,
) -> SparsePath:
    """Fit L1-regularised logistic probes for growing C.

    Each minimises ``C sum_i w_i log(1 + exp(-y_i f_i)) + l1_ratio |beta|_1 +
    (1 - l1_ratio) |beta|^2 / 2`` with a free intercept.

    Parameters
    ----------
    X : (n, d) array of any real dtype
    y : (n,) array of -1 and +1
    Cs : sequence of float, optional
        In any order. By default ``n_Cs`` values above that of the null model, up to 100 times it, in
        increasing steps.
    n_Cs : int
        Length of the default path.
    max_support : int, optional
        The path ends before the first probe that has more neurons.
    l1_ratio : float
        Share of the L1 penalty, above 0 and up to 1.
    class_weight : {"balanced", "none"}
        "balanced" weighs rows by n / (2 n_class).
    standardize : bool
        Whether ``beta`` in the penalty is that of columns of standard deviation 1. Reported
        coefficients are always those of ``X``, objectives those of ``beta``.
    tolerance : float
        Relative duality gap at which a fit stops.
    max_iter : int
        Proximal Newton steps per fit.

    Returns
    -------
    SparsePath
        In increasing order of C. Without an L2 penalty, the lowest of several equal neurons (copies, opposites
        and multiples, where these are scaled) has the coefficient of all of them.

    Raises
    ------
    ProbeError
        If ``X`` is empty, not finite or constant, if a class is missing, if an argument is out of
        its range, or if the first probe has more than ``max_support`` neurons.
    """
    X, y = check_rows(X, y)
    _check_range(l1_ratio, tolerance, max_support)
    weights = class_weights((y > 0).astype(np.int64), class_weight)
    columns = ScaledColumns.of(X, standardize)
    null_C = l1_ratio / null_correlation(columns, LogisticLoss(y, weights))
    strengths = _strengths(Cs, null_C, _multiples(n_Cs))

    def objective(C: float) -> tuple[Loss, Penalty]:
        return LogisticLoss(y, C * weights), Penalty(l1_ratio, 1 - l1_ratio)

    fits = follow_path(columns, null_C, sorted(strengths), objective, max_support, tolerance, max_iter)
    return SparsePath(null_C, tuple(fits))


def fit_lasso_path(
    X: ArrayLike,
    y: ArrayLike,
    alphas: Sequence[float] | None = None,
    n_alphas: int = 20,
    max_support: int | None = None,
    l1_ratio: float = 1.0,
    standardize: bool = True,
    tolerance: float = 1e-6,
    max_iter: int = 100,
) -> SparsePath:
    """Fit lasso or elastic-net regression probes for falling alpha.

    Each minimises scikit-learn's ``sum_i (y_i - f_i)^2 / (2 n) + alpha (l1_ratio |beta|_1 +
    (1 - l1_ratio) |beta|^2 / 2)`` with a free intercept.

    Parameters
    ----------
    X : (n, d) array of any real dtype
    y : (n,) array of float
    alphas : sequence of float, optional
        In any order. By default ``n_alphas`` values below that of the null model, down to a hundredth
        of it, in increasing steps.
    n_alphas : int
        Length of the default path.
    max_support, l1_ratio, standardize, tolerance, max_iter
        As in :func:`fit_l1_path`.

    Returns
    -------
    SparsePath
        In decreasing order of alpha.

    Raises
    ------
    ProbeError
        As :func:`fit_l1_path`, or if the targets are all equal or not finite.
    """
    X, y = check_targets(X, y)
    _check_range(l1_ratio, tolerance, max_support)
    loss, columns = SquaredLoss(y, np.full(len(y), 1 / len(y))), ScaledColumns.of(X, standardize)
    null_alpha = null_correlation(columns, loss) / l1_ratio
    strengths = sorted(_strengths(alphas, null_alpha, 1 / _multiples(n_alphas)), reverse=True)

    def objective(alpha: float) -> tuple[Loss, Penalty]:
        return loss, Penalty(alpha * l1_ratio, alpha * (1 - l1_ratio))

    fits = follow_path(columns, null_alpha, strengths, objective, max_support, tolerance, max_iter)
    return SparsePath(null_alpha, tuple(fits))


def _multiples(n: int) -> Floats:
    """Return n multiples up to ``RANGE``; they are densest at the start, where the first neurons enter."""
    return RANGE ** ((np.arange(1, n + 1) / n) ** 2)


def _check_range(l1_ratio: float, tolerance: float, max_support: int | None) -> None:
    if not 0 < l1_ratio <= 1:
        raise ProbeError(
            f"l1_ratio is {l1_ratio}; it must be above 0 and at most 1. For a ridge without L1 fit a dense probe."
        )
    if not tolerance > 0:
        raise ProbeError(f"The tolerance is {tolerance}; it must be positive. Try 1e-6.")
    if max_support is not None and max_support < 0:
        raise ProbeError(f"max_support is {max_support}; it must be 0 or more, or None.")


def _strengths(requested: Sequence[float] | None, null: float, multiples: Floats) -> list[float]:
    """Return the requested strengths without repetitions, or multiples of the strength of the null model."""
    if requested is None:
        return [float(null * multiple) for multiple in multiples]
    if not len(requested) or not all(0 < strength < np.inf for strength in requested):
        raise ProbeError(f"Cannot fit a path of strengths {list(requested)}. Choose one or more positive numbers.")
    return [float(strength) for strength in set(requested)]
