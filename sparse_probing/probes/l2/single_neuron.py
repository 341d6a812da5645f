"""A logistic probe of every single neuron, with the objective of :mod:`sparse_probing.probes.l2.logistic`.

A probe of one neuron is first fitted to a histogram of the neuron. That costs almost nothing and
ends so near the minimum that usually one Newton step on all rows remains.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from sparse_probing.probes.convergence import TOLERANCE, is_converged, status_of
from sparse_probing.probes.inputs.blocks import BLOCK_ELEMENTS, column_blocks
from sparse_probing.probes.inputs.scaling import centre_rows
from sparse_probing.probes.inputs.validation import (
    Booleans,
    ClassWeight,
    Floats,
    Integers,
    LabelledRows,
    check_activations,
    check_labelled_rows,
    row_weights,
)
from sparse_probing.probes.l2.logistic import LogisticFit
from sparse_probing.probes.l2.newton import Iterate, evaluate, line_search

N_BINS, WIDEST = 64, 4.0
"""Bins of the histogram of a class, and the largest distance from the mean, in standard deviations, that they cover."""

CONSTANT = "The neuron is constant on these rows."
SEPARABLE = "The neuron separates the classes on these rows: only C limits its coefficient."


@dataclass(frozen=True)
class SingleNeuronFit:
    """One logistic probe per neuron; each field is (d,)."""

    coef: Floats
    intercept: Floats
    objective: Floats
    decrement: Floats
    """Half the squared Newton decrement over the objective: the estimated relative distance to the minimum."""
    iterations: Integers
    """Newton steps on all rows."""
    constant: Booleans
    """Whether the neuron has one value on the rows of the fit; its coefficient is then 0."""
    separable: Booleans
    """Whether a threshold on the neuron separates the classes on the rows of the fit."""

    @property
    def converged(self) -> Booleans:
        """(d,) whether the decrement is at most 1e-6."""
        return is_converged(self.decrement)

    @cached_property
    def status(self) -> list[str]:
        """One or two sentences per neuron."""
        remarks = np.where(self.constant, f" {CONSTANT}", np.where(self.separable, f" {SEPARABLE}", ""))
        return [f"{status_of(gap)}{remark}" for gap, remark in zip(self.decrement, remarks, strict=True)]

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
        In any memory order; contiguous columns ("F") are fastest.
    y : (n,) array of -1 and +1
    C : float
        Weight of the loss against the ridge.
    class_weight : {"balanced", "none"}
        "balanced" weighs rows by n / (2 n_class).
    max_iter : int
        Damped Newton steps, on the histogram and again on all rows.
    rows : (n,) array of int, optional
        The rows of ``X`` to fit, increasing; all by default. The layer is not copied.
    sample_weight : (n,) array of float, optional
        A row of weight 2 counts as two rows, also in the balance of the classes.

    Raises
    ------
    ProbeError
        If ``X`` is empty or not finite, if a class is missing, if rows, labels and weights do
        not fit together, or if ``C`` is not positive.
    """
    X = check_activations(X)
    feature = LabelledRows(np.arange(len(X)) if rows is None else np.asarray(rows), np.asarray(y))
    feature = check_labelled_rows(feature, len(X))
    weights = row_weights(feature.label, C, class_weight, sample_weight)
    # Positives first, so that a class is a slice.
    order = np.argsort(-feature.label, kind="stable")
    rows, y, weights = feature.row[order], feature.label[order], weights[order]
    starts = _fit_histograms(X, rows, y, weights, max_iter)
    blocks = [_fit_block(block, starts[columns], y, weights, max_iter) for columns, block in column_blocks(X, rows)]
    return SingleNeuronFit(*(np.concatenate(fields) for fields in zip(*blocks, strict=True)))


def _fit_histograms(X: NDArray, rows: Integers, y: Floats, weights: Floats, max_iter: int) -> Floats:
    """Return intercepts and coefficients (d, 2), for centred columns, of fits to a histogram of every neuron.

    A histogram has, for each class, the weight and the mean of every bin.
    """
    first_bin = np.where(y > 0, 0, N_BINS)
    weights_of_bins, means_of_bins = [], []
    for _, block in column_blocks(X, rows):
        centre_rows(block)
        deviation = np.sqrt(np.vecdot(block, block) / len(y))
        bins_per_unit = np.divide(N_BINS / 2 / WIDEST, deviation, out=np.zeros_like(deviation), where=deviation > 0)
        weight, total = _fill_bins(block, first_bin, weights, bins_per_unit)
        weights_of_bins.append(weight)
        means_of_bins.append(np.divide(total, weight, out=np.zeros_like(total), where=weight > 0))
    bin_weights, values = np.concatenate(weights_of_bins), np.concatenate(means_of_bins)
    # Every bin is a row of its class; a batch of neurons takes its steps together.
    labels = np.repeat([1.0, -1.0], N_BINS)
    batch_size = BLOCK_ELEMENTS // (2 * N_BINS)
    starts = []
    for first in range(0, len(values), batch_size):
        batch = slice(first, first + batch_size)
        zero = np.zeros((len(values[batch]), 2))
        end, _, _ = _newton(zero, labels * values[batch], labels, bin_weights[batch], max_iter)
        starts.append(end.theta)
    return np.concatenate(starts)


@njit(cache=True)
def _fill_bins(block: Floats, first_bin: Integers, weights: Floats, bins_per_unit: Floats) -> tuple[Floats, Floats]:
    """Return weights and weighted sums (b, 2 N_BINS); the bins of a row's class start at ``first_bin`` (n,)."""
    weight = np.zeros((len(block), 2 * N_BINS))
    total = np.zeros((len(block), 2 * N_BINS))
    for j in range(len(block)):
        for i in range(block.shape[1]):
            position = min(max(block[j, i] * bins_per_unit[j] + N_BINS / 2, 0.0), N_BINS - 1.0)
            bin_ = first_bin[i] + int(position)
            weight[j, bin_] += weights[i]
            total[j, bin_] += weights[i] * block[j, i]
    return weight, total


def _fit_block(block: Floats, start: Floats, y: Floats, weights: Floats, max_iter: int) -> tuple[NDArray, ...]:
    """Fit every row of ``block`` (b, n), positives first; return the fields of SingleNeuronFit."""
    n_positive = np.count_nonzero(y > 0)
    positives, negatives = block[:, :n_positive], block[:, n_positive:]
    lowest, highest = positives.min(axis=1), positives.max(axis=1)
    lowest_negative, highest_negative = negatives.min(axis=1), negatives.max(axis=1)
    constant = (lowest == highest) & (lowest_negative == highest_negative) & (lowest == lowest_negative)
    separable = (lowest > highest_negative) | (highest < lowest_negative)
    means = centre_rows(block)
    block[constant] = 0
    block *= y
    end, decrement, iterations = _newton(start, block, y, weights, max_iter)
    intercept, coef = end.theta.T
    # Each neuron is one probe, so scaling.undo_scaling is one product per neuron.
    return coef, intercept - coef * means, end.objective, decrement, iterations, constant, separable


def _newton(
    theta: Floats, columns: Floats, y: Floats, weights: Floats, max_iter: int
) -> tuple[Iterate, Floats, Integers]:
    """Take damped Newton steps from ``theta`` (b, 2); return where they end, decrements and numbers of steps (b,).

    ``columns`` (b, n) are centred and multiplied by ``y``; ``weights`` are (n,) or (b, n).
    """
    now = evaluate(theta, theta[:, :1] * y + theta[:, 1:] * columns, weights)
    iterations = np.zeros(len(columns), dtype=np.int64)
    for _ in range(max_iter + 1):
        # The gradient and the 2 x 2 Hessian of every neuron, [[intercept, cross], [cross, .]].
        weighted = now.curvature * columns
        gradient = now.penalty_gradient
        gradient[:, 0] -= now.residual @ y
        gradient[:, 1] -= np.vecdot(now.residual, columns)
        intercept = np.maximum(now.curvature.sum(axis=1), np.finfo(float).tiny)
        cross = weighted @ y
        # The Schur complement is a weighted variance plus the ridge of 1, which rounding must not hide.
        schur = np.maximum(np.vecdot(weighted, columns) + 1 - cross**2 / intercept, 1)
        coef_step = (gradient[:, 0] * cross / intercept - gradient[:, 1]) / schur
        intercept_step = -(gradient[:, 0] + cross * coef_step) / intercept
        step = np.stack([intercept_step, coef_step], axis=1)
        slope = np.vecdot(gradient, step)
        decrement = -slope / 2 / now.objective
        moving = decrement > TOLERANCE
        if not moving.any() or iterations.max() == max_iter:
            break
        step[~moving] = 0
        margin_step = step[:, :1] * y + step[:, 1:] * columns
        now = line_search(now, step, margin_step, slope, np.ones(len(columns)), weights)
        iterations += moving
    return now, decrement, iterations
