"""The optimisation problem of an optimal sparse probe, on scaled activations."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from probing_datasets.foundation.errors import ProbeError
from sparse_probing.probes.inputs.scaling import Standardiser
from sparse_probing.probes.inputs.validation import Floats, Integers, check_activations
from sparse_probing.probes.optimal.losses import CODES, LossName

Support = tuple[int, ...]
"""The neurons of a probe, in increasing order."""

DEVIATIONS = 10.0
"""Number of standard deviations that neurons are divided by (the paper's convention)."""
BLOCK_COLUMNS = 64
"""Neurons that are scaled at a time."""


def as_support(neurons: Iterable[int]) -> Support:
    """Return neurons in increasing order, as Python integers."""
    return tuple(sorted(int(j) for j in neurons))


@dataclass(frozen=True, eq=False)
class SparseProblem:
    """The best linear function of k neurons.

    Minimise over supports S of k neurons, coefficients u and an intercept b::

        sum_i w_i loss(y_i, b + sum_{j in S} u_j x_ji) + |u|^2 / (2 ridge)

    Scaled neurons are rounded to float32 once. The rounded numbers in ``columns`` define the problem, and
    every bound holds for exactly these numbers.
    """

    columns: NDArray[np.float32]
    """(d, n) scaled neurons; the mean over the rows is zero."""
    y: Floats
    """(n,) labels -1/+1 (hinge, logistic) or targets (squared)."""
    weight: Floats
    """(n,) weights of the rows; all positive."""
    ridge: float
    """The g of the objective; a larger g is a weaker penalty."""
    loss: LossName = "hinge"

    def __post_init__(self) -> None:
        """Raise ProbeError for weights or labels that make the problem another one, or not solvable."""
        if not (np.isfinite(self.weight).all() and (self.weight > 0).all()):
            raise ProbeError("A row has a weight that is not positive. Leave rows without weight out of the problem.")
        if self.loss != "squared" and set(np.unique(self.y).tolist()) != {-1.0, 1.0}:
            raise ProbeError(f"The {self.loss} loss needs labels -1 and +1, and rows of both.")

    @property
    def width(self) -> int:
        """Number of neurons d."""
        return self.columns.shape[0]

    @property
    def n_rows(self) -> int:
        """Number of rows n."""
        return self.columns.shape[1]

    @property
    def code(self) -> int:
        """Integer that compiled code uses for the loss."""
        return CODES[self.loss]

    @cached_property
    def norms(self) -> Floats:
        """(d,) Euclidean norm of every neuron, rounded up: slightly above the exact norm."""
        return np.sqrt(np.einsum("ij,ij->i", self.columns, self.columns, dtype=np.float64)) * (1 + 1e-9)

    def restricted(self, neurons: Integers) -> SparseProblem:
        """Return the problem with only these neurons."""
        return SparseProblem(self.columns[neurons], self.y, self.weight, self.ridge, self.loss)


@dataclass(frozen=True)
class Scaling:
    """How stored activations x are scaled: ``(x - mean) / scale``."""

    mean: Floats
    """(d,)"""
    scale: Floats
    """(d,) ten standard deviations; 1 for a constant neuron, which becomes zero."""

    def undo(self, support: Integers, coef: Floats, intercept: float) -> tuple[Floats, float]:
        """Return the coefficients (k,) and the intercept that apply to stored activations."""
        stored, stored_intercept = Standardiser(self.mean, self.scale).undo(support, coef, intercept)
        return stored, float(stored_intercept)


def scaled_columns(X: NDArray) -> tuple[NDArray[np.float32], Scaling]:
    """Centre and scale activations.

    Parameters
    ----------
    X : (n, d) array
        Activations, float16, float32 or float64.

    Returns
    -------
    columns : (d, n) float32
        One scaled neuron in each row.
    scaling : Scaling
        Mean and scale of every neuron.

    Raises
    ------
    ProbeError
        If an activation is not finite.
    """
    X = check_activations(X)
    n, d = X.shape
    columns, mean, scale = np.empty((d, n), np.float32), np.empty(d), np.empty(d)
    for first in range(0, d, BLOCK_COLUMNS):
        block = slice(first, first + BLOCK_COLUMNS)
        x = X[:, block].T.astype(np.float64)
        mean[block] = x.mean(axis=1)
        x -= mean[block, None]
        deviation = np.sqrt((x * x).mean(axis=1))
        constant = deviation <= 1e-12 * np.maximum(1.0, np.abs(mean[block]))
        scale[block] = np.where(constant, 1.0, DEVIATIONS * deviation)
        columns[block] = np.where(constant[:, None], 0.0, x / scale[block, None])
    return columns, Scaling(mean, scale)


def class_weights(y: Floats, balanced: bool = True) -> Floats:
    """Return weights (n,) of rows with labels ``y`` (n,): n / (2 n_class) if balanced, otherwise 1; their sum is n.

    Raises
    ------
    ProbeError
        If the weights are balanced and all labels are of one class.
    """
    if not balanced:
        return np.ones(len(y))
    positive = y > 0
    n_positive = int(positive.sum())
    if n_positive in (0, len(y)):
        raise ProbeError("All labels are of one class. A probe needs rows of both classes.")
    return np.where(positive, len(y) / (2 * n_positive), len(y) / (2 * (len(y) - n_positive)))


def ridge_of(n_rows: int, multiplier: float) -> float:
    """Return the ridge g = m / sqrt(n); the paper uses m = 1."""
    return multiplier / np.sqrt(n_rows)
