"""Checks of targets other than two classes -- real values, several classes -- and weights of classes."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from experiments.probes.inputs import Floats, Integers, check_activations
from experiments.probes.logistic import ClassWeight
from probing_datasets.foundation.errors import ProbeError


def check_targets(X: ArrayLike, y: ArrayLike) -> tuple[NDArray, Floats]:
    """Return activations (n, d), in the dtype they have, and real targets (n,) after checking both.

    Raises
    ------
    ProbeError
        If ``X`` is refused by :func:`experiments.probes.inputs.check_activations`, or if ``y``
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
        If ``X`` is refused by :func:`experiments.probes.inputs.check_activations`, or if ``y``
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
