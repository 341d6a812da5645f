"""A logistic probe of every single neuron, with the objective of :mod:`sparse_probing.probes.l2.logistic`.

A probe of one neuron is first fitted to a histogram of the neuron, which costs next to nothing
and ends so near the minimum that mostly one Newton step on all rows remains.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from sparse_probing.probes.convergence import CONVERGED, CONVERGED_BELOW, NOT_CONVERGED, TOLERANCE
from sparse_probing.probes.l2.logistic import LogisticFit
from sparse_probing.probes.l2.newton import Iterate, evaluate, line_search
from sparse_probing.probes.validation import (
    BLOCK_ELEMENTS,
    Booleans,
    ClassWeight,
    Floats,
    Integers,
    LabelledRows,
    check_activations,
    check_problem,
    column_blocks,
    row_weights,
)

N_BINS, WIDEST = 64, 4.0
"""Bins of the histogram of a class, and how many standard deviations from the mean they reach."""

CONSTANT = "The neuron is constant on these rows."
SEPARABLE = "The neuron separates the classes on these rows: only C limits its coefficient."


@dataclass(frozen=True)
class SingleNeuronFit:
    """One logistic probe per neuron; each field is (d,)."""

    coef: Floats
    intercept: Floats
    objective: Floats
    decrement: Floats
    """Half the squared Newton decrement over the objective: how far it is, relatively, above its minimum."""
    iterations: Integers
    """Newton steps on all rows."""
    constant: Booleans
    """Whether the neuron has one value on the rows of the fit; its coefficient is then 0."""
    separable: Booleans
    """Whether a threshold on the neuron tells the classes apart on the rows of the fit."""

    @property
    def converged(self) -> Booleans:
        """(d,) whether the decrement is below 1e-6."""
        return self.decrement < CONVERGED_BELOW

    @cached_property
    def status(self) -> list[str]:
        """One or two sentences per neuron."""
        ends = np.where(self.converged, CONVERGED, NOT_CONVERGED)
        remarks = np.where(self.constant, f" {CONSTANT}", np.where(self.separable, f" {SEPARABLE}", ""))
        return [f"{end}{remark}" for end, remark in zip(ends, remarks, strict=True)]

    def neuron(self, i: int) -> LogisticFit:
        """Return the probe of one neuron."""
        return LogisticFit(
            coef=self.coef[[i]],
            intercept=float(self.intercept[i]),
            objective=float(self.objective[i]),
            decrement=float(self.decrement[i]),
            iterations=int(self.iterations[i]),
            status=self.status[i],
        )


def fit_single_neurons(
    X: ArrayLike,
    y: ArrayLike,
    C: float = 1.0,
    class_weight: ClassWeight = "balanced",
    max_iter: int = 100,
    rows: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
) -> SingleNeuronFit:
    """Fit a probe with one coefficient and an intercept to every column of ``X``.

    Parameters
    ----------
    X : (N, d) array of any real dtype
        In any memory order; columns in one piece ("F") are fastest.
    y : (n,) array of -1 and +1
    C : float
        Weight of the loss against the ridge.
    class_weight : {"balanced", "none"}
        "balanced" weighs rows by n / (2 n_class).
    max_iter : int
        Damped Newton steps, on the histogram and again on all rows.
    rows : (n,) array of int, optional
        The rows of ``X`` to fit, increasing; all by default. No copy of the layer is made.
    sample_weight : (n,) array of float, optional
        A row of weight 2 counts as two rows, in the balance of the classes too.

    Raises
    ------
    ProbeError
        If ``X`` is empty or not finite, if a class is missing, if rows, labels and weights do
        not fit together, or if ``C`` is not positive.
    """
    X = check_activations(X)
    problem = check_problem(
        LabelledRows(np.arange(len(X)) if rows is None else np.asarray(rows), np.asarray(y)), len(X)
    )
    weights = row_weights(problem.label, C, class_weight, sample_weight)
    # Positives first, so that a class is a slice.
    order = np.argsort(-problem.label, kind="stable")
    rows, y, weights = problem.row[order], problem.label[order], weights[order]
    starts = _fit_histograms(X, rows, y, weights, max_iter)
    blocks = [_fit_block(block, starts[columns], y, weights, max_iter) for columns, block in column_blocks(X, rows)]
    return SingleNeuronFit(*(np.concatenate(parts) for parts in zip(*blocks, strict=True)))


def _fit_histograms(X: NDArray, rows: Integers, y: Floats, weights: Floats, max_iter: int) -> Floats:
    """Return intercepts and coefficients (d, 2), for centred columns, of fits to histograms."""
    histograms = [_histograms(block, y, weights) for _, block in column_blocks(X, rows)]
    masses, values = (np.concatenate(parts) for parts in zip(*histograms, strict=True))
    side = np.repeat([1.0, -1.0], N_BINS)
    step = BLOCK_ELEMENTS // (2 * N_BINS)
    starts = [slice(i, i + step) for i in range(0, len(values), step)]
    return np.concatenate(
        [_newton(np.zeros((len(values[s]), 2)), side * values[s], side, masses[s], max_iter)[0].theta for s in starts]
    )


def _histograms(block: Floats, y: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """Return the weight and the mean of the bins of every class of centred columns, each (b, 2 N_BINS)."""
    block -= block.mean(axis=1, keepdims=True)
    deviation = np.sqrt(np.vecdot(block, block) / len(y))
    per_unit = np.divide(N_BINS / 2 / WIDEST, deviation, out=np.zeros_like(deviation), where=deviation > 0)
    mass, total = _fill_bins(block, np.where(y > 0, 0, N_BINS), weights, per_unit)
    return mass, np.divide(total, mass, out=np.zeros_like(total), where=mass > 0)


@njit(cache=True)
def _fill_bins(block: Floats, first_bin: Integers, weights: Floats, per_unit: Floats) -> tuple[Floats, Floats]:
    """Return weights and weighted sums (b, 2 N_BINS); bins of a row begin at ``first_bin``."""
    mass = np.zeros((len(block), 2 * N_BINS))
    total = np.zeros((len(block), 2 * N_BINS))
    for j in range(len(block)):
        for i in range(block.shape[1]):
            place = min(max(block[j, i] * per_unit[j] + N_BINS / 2, 0.0), N_BINS - 1.0)
            bin_ = first_bin[i] + int(place)
            mass[j, bin_] += weights[i]
            total[j, bin_] += weights[i] * block[j, i]
    return mass, total


def _fit_block(block: Floats, start: Floats, y: Floats, weights: Floats, max_iter: int) -> tuple[NDArray, ...]:
    """Fit every row of ``block`` (b, n); return the fields of SingleNeuronFit."""
    constant, separable = _peculiarities(block, int(np.count_nonzero(y > 0)))
    means = block.mean(axis=1)
    block -= means[:, None]
    block[constant] = 0
    block *= y
    end, decrement, iterations = _newton(start, block, y, weights, max_iter)
    intercept, coef = end.theta.T
    return coef, intercept - coef * means, end.objective, decrement, iterations, constant, separable


def _peculiarities(block: Floats, n_positive: int) -> tuple[Booleans, Booleans]:
    """Return which rows of ``block`` (b, n), positives first, are constant and which separate the classes."""
    (low, high), (other_low, other_high) = (
        (part.min(axis=1), part.max(axis=1)) for part in (block[:, :n_positive], block[:, n_positive:])
    )
    constant = (low == high) & (other_low == other_high) & (low == other_low)
    return constant, (low > other_high) | (high < other_low)


def _newton(
    theta: Floats, columns: Floats, y: Floats, weights: Floats, max_iter: int
) -> tuple[Iterate, Floats, Integers]:
    """Take damped Newton steps from ``theta`` (b, 2); return where they end, decrements and numbers of steps (b,).

    ``columns`` (b, n) are centred and multiplied by ``y``; ``weights`` are (n,) or (b, n).
    """
    now = evaluate(theta, theta[:, :1] * y + theta[:, 1:] * columns, weights)
    iterations = np.zeros(len(columns), dtype=np.int64)
    for _ in range(max_iter + 1):
        step, slope = _newton_step(now, columns, y)
        decrement = -slope / 2 / now.objective
        moving = decrement > TOLERANCE
        if not moving.any() or iterations.max() == max_iter:
            break
        step[~moving] = 0
        margin_step = step[:, :1] * y + step[:, 1:] * columns
        now = line_search(now, step, margin_step, slope, np.ones(len(columns)), weights)
        iterations += moving
    return now, decrement, iterations


def _newton_step(now: Iterate, columns: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Solve the 2 x 2 Newton system of every neuron; return steps (b, 2) and slopes (b,)."""
    weighted = now.curvature * columns
    gradient = now.penalty_gradient
    gradient[:, 0] -= now.residual @ y
    gradient[:, 1] -= np.vecdot(now.residual, columns)
    intercept = np.maximum(now.curvature.sum(axis=1), np.finfo(float).tiny)
    cross = weighted @ y
    # The Schur complement is a weighted variance plus the ridge of 1, whatever rounding makes of it.
    schur = np.maximum(np.vecdot(weighted, columns) + 1 - cross**2 / intercept, 1)
    coef_step = (gradient[:, 0] * cross / intercept - gradient[:, 1]) / schur
    intercept_step = -(gradient[:, 0] + cross * coef_step) / intercept
    step = np.stack([intercept_step, coef_step], axis=1)
    return step, np.vecdot(gradient, step)
