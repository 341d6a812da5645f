"""Regression metrics of many probes at once, equal to scikit-learn's and SciPy's."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from probing_datasets.foundation.errors import ProbeError
from sparse_probing.probes.inputs.blocks import column_blocks
from sparse_probing.probes.inputs.validation import Floats


def regression_metrics(y: ArrayLike, predictions: ArrayLike) -> dict[str, NDArray]:
    """Return the metrics of m probes on the same rows.

    Parameters
    ----------
    y : (n,) array of float
        Targets, at least two different ones.
    predictions : (n, m) array of any real dtype
        One column per probe.

    Returns
    -------
    dict of (m,) float64 arrays
        ``r2``, ``rmse``, ``mae``, ``explained_variance``, ``max_error``, ``mean_squared_error``,
        ``median_absolute_error``, ``mean_absolute_percentage_error`` (a fraction; very large where a target is
        0), ``d2_absolute_error`` (1 - absolute error / that of always predicting the median target), and the
        correlations ``pearson`` and ``spearman`` (ties get their average rank), which are NaN where all
        predictions of a probe are equal.

    Raises
    ------
    ProbeError
        If the shapes do not fit, a value is not finite, or all targets are equal.
    """
    from scipy.stats import rankdata  # here, because its import takes most of a second in every process

    targets, predicted = _check_predictions(y, predictions)
    variance = targets.var()
    # As scikit-learn: the relative error of a target of 0 is finite, and meaningless.
    size = np.maximum(np.abs(targets), np.finfo(np.float64).eps)
    from_median = np.abs(targets - np.median(targets)).mean()
    blocks = []
    for _, block in column_blocks(predicted):
        residuals = block - targets
        squares, errors = np.einsum("ij,ij->i", residuals, residuals), np.abs(residuals)
        blocks.append(
            {
                "r2": 1 - squares / ((targets - targets.mean()) ** 2).sum(),
                "rmse": np.sqrt(squares / len(targets)),
                "mae": errors.mean(axis=1),
                "explained_variance": 1 - residuals.var(axis=1) / variance,
                "max_error": errors.max(axis=1),
                "mean_squared_error": squares / len(targets),
                "median_absolute_error": np.median(errors, axis=1),
                "mean_absolute_percentage_error": (errors / size).mean(axis=1),
                "d2_absolute_error": 1 - errors.mean(axis=1) / from_median,
                "pearson": _correlation(targets, block),
                "spearman": _correlation(rankdata(targets), rankdata(block, axis=1)),
            }
        )
    return {name: np.concatenate([metrics[name] for metrics in blocks]) for name in blocks[0]}


def _check_predictions(y: ArrayLike, predictions: ArrayLike) -> tuple[Floats, NDArray]:
    targets, predicted = np.asarray(y, dtype=np.float64), np.asarray(predictions)
    if targets.ndim != 1 or predicted.ndim != 2 or len(targets) != len(predicted) or predicted.size == 0:
        raise ProbeError(f"Targets {targets.shape} and predictions {predicted.shape} must be (n,) and (n, m).")
    if not (np.isfinite(targets).all() and np.isfinite(predicted).all()):
        raise ProbeError("A target or a prediction is NaN or infinite. Remove such rows.")
    if (targets == targets[0]).all():
        raise ProbeError(f"All {len(targets)} targets are {targets[0]}. The metrics need targets that differ.")
    return targets, predicted


def _correlation(targets: Floats, predicted: Floats) -> Floats:
    """Return Pearson's r (b,); NaN where a row of ``predicted`` (b, n) is constant."""
    varies = (predicted != predicted[:, :1]).any(axis=1)
    r = np.full(len(predicted), np.nan)
    r[varies] = _unit(predicted[varies]) @ _unit(targets[None])[0]
    return np.clip(r, -1, 1)


def _unit(rows: Floats) -> Floats:
    """Centre rows (b, n) and scale them to length 1."""
    centred = rows - rows.mean(axis=1, keepdims=True)
    return centred / np.linalg.norm(centred, axis=1, keepdims=True)
