"""Rankings by the coefficients of a linear model of all neurons together.

Both models are fitted to neurons of mean 0 and deviation 1 on the rows of the feature, with
balanced class weights and an intercept that is not penalised. The models of all features take
their steps together, so that a step is two matrix products with one float32 copy of the layer;
yet each goes its own way to the last digit, whichever features are beside it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from sparse_probing.probes.rankings.sums import moments, product, sets_of_rows
from sparse_probing.probes.validation import Floats, Integers, LabelledRows, tiles

logger = logging.getLogger(__name__)

Singles = NDArray[np.floating]

L1_SHARE = 0.1
"""Weight of the L1 penalty, as a share of the least that makes all coefficients 0."""
TOLERANCE, MAX_STEPS = 1e-5, 3000
"""Relative change of a model's coefficients in a step at which it is good enough to rank by, and most steps."""


def l1_logistic(X: NDArray, problems: Sequence[LabelledRows], _rngs: Sequence[np.random.Generator]) -> Floats:
    """Absolute coefficients of an L1-regularised logistic regression.

    Most are 0. Neurons that are not in the model score below 0: by how near the gradient of
    the loss, as a share of the penalty, is to what would take them in.
    """
    models = _Models.of(X, problems)
    at_zero = models.gradient(np.zeros((len(problems), X.shape[1] + 1), np.float32), _logistic)
    penalty = np.float32(L1_SHARE) * np.abs(at_zero[:, 1:]).max(axis=1, keepdims=True)

    def shrink(coef: Singles, step: Singles, active: Integers) -> Singles:
        return np.sign(coef) * np.maximum(np.abs(coef) - step * penalty[active], 0)

    end = _minimise(models, _logistic, 1 / 4, shrink)
    slope = np.abs(models.gradient(end, _logistic)[:, 1:])
    # The penalty is 0 where all neurons are constant.
    outside = np.divide(slope, penalty, out=np.zeros_like(slope), where=penalty > 0) - 1
    coef = np.abs(end[:, 1:])
    return np.where(coef > 0, coef, np.minimum(outside, 0)).astype(np.float64)


def linear_svm(X: NDArray, problems: Sequence[LabelledRows], _rngs: Sequence[np.random.Generator]) -> Floats:
    """Absolute coefficients of a linear support vector machine: mean squared hinge loss plus ``|coef|^2 / 2``.

    scikit-learn's ``LinearSVC(C=1 / n, class_weight="balanced")``, but for its penalty on the intercept.
    """
    end = _minimise(_Models.of(X, problems), _squared_hinge, 2, lambda coef, step, _: coef / (1 + step))
    return np.abs(end[:, 1:]).astype(np.float64)


def _logistic(margins: Singles) -> Singles:
    return -expit(-margins)


def _squared_hinge(margins: Singles) -> Singles:
    return -2 * np.maximum(1 - margins, 0)


def _dot(left: Singles, right: Singles) -> Singles:
    """Return the inner products of rows (n, 1)."""
    return np.sum(left * right, axis=1, keepdims=True)


@dataclass(frozen=True)
class _Models:
    """The layer as every feature's model sees it; parameters are (n_problems, d + 1), intercepts first."""

    layer: Singles
    """(N, d), of mean 0 and deviation 1 on all rows."""
    scale: Singles
    """(n_problems, d): what brings the layer to deviation 1 on the rows of a feature; 0 for constant neurons."""
    shift: Singles
    """(n_problems, d): the mean of the layer, so scaled, on those rows."""
    label: Singles
    """(n_problems, N) -1/+1."""
    weight: Singles
    """(n_problems, N): 0 for rows of others; each class sums to 1/2."""

    @classmethod
    def of(cls, X: NDArray, problems: Sequence[LabelledRows]) -> _Models:
        members, own = sets_of_rows(problems, len(X))
        mean, deviation = moments(X, np.vstack([np.ones((1, len(X)), np.bool_), members]))
        inverse = np.divide(1, deviation, out=np.zeros_like(deviation), where=deviation > 0)
        layer = np.empty_like(X, dtype=np.float32)
        for rows, columns, tile in tiles(X):
            layer[rows, columns] = (tile - mean[0, columns]) * inverse[0, columns]
        scale, shift = deviation[0] * inverse[1:], (mean[1:] - mean[0]) * inverse[1:]
        label, weight = np.ones((2, len(problems), len(X)), np.float32)
        weight[:] = 0
        for place, problem in enumerate(problems):
            n_positive = np.count_nonzero(problem.label > 0)
            size_of_class = np.where(problem.label > 0, n_positive, len(problem.label) - n_positive)
            label[place, problem.row] = problem.label
            weight[place, problem.row] = 0.5 / size_of_class
        return cls(layer, scale[own].astype(np.float32), shift[own].astype(np.float32), label, weight)

    def only(self, some: Integers) -> _Models:
        """Return the models of some problems, on the same layer."""
        return _Models(self.layer, self.scale[some], self.shift[some], self.label[some], self.weight[some])

    def scores(self, theta: Singles) -> Singles:
        """Return decision values (n_problems, N)."""
        coef = theta[:, 1:]
        return product(self.scale * coef, self.layer.T) + (theta[:, :1] - _dot(self.shift, coef))

    def transposed(self, values: Singles) -> Singles:
        """Apply the transpose of :meth:`scores` to ``values`` (n_problems, N)."""
        total = values.sum(axis=1, keepdims=True)
        return np.hstack([total, self.scale * product(values, self.layer) - self.shift * total])

    def gradient(self, theta: Singles, slope: Callable[[Singles], Singles]) -> Singles:
        """Return the gradient of the mean loss, whose derivative by the margin is ``slope``."""
        return self.transposed(self.weight * self.label * slope(self.label * self.scores(theta)))

    def largest_curvature(self) -> Singles:
        """Return the largest eigenvalue (n_problems, 1) of the weighted second moments, by power iteration."""
        start = np.random.default_rng(0).standard_normal((1, self.layer.shape[1] + 1), np.float32)
        vector = np.repeat(start, len(self.label), axis=0)
        for _ in range(20):
            vector /= np.sqrt(_dot(vector, vector))
            vector = self.transposed(self.weight * self.scores(vector))
        return np.sqrt(_dot(vector, vector))


def _minimise(
    models: _Models,
    slope: Callable[[Singles], Singles],
    bend: float,
    proximal: Callable[[Singles, Singles, Integers], Singles],
) -> Singles:
    """Take accelerated proximal gradient steps in every model until its coefficients hardly change.

    ``slope`` is the loss's derivative, ``bend`` the most it changes by, ``proximal`` the proximal
    map of the penalty for some of the models.

    References
    ----------
    Beck and Teboulle, A Fast Iterative Shrinkage-Thresholding Algorithm (2009); O'Donoghue and
    Candes, Adaptive Restart for Accelerated Gradient Schemes (2015), the gradient scheme.
    """
    # Power iteration ends below the eigenvalue, by a few per cent.
    step = np.float32(1 / (1.1 * bend)) / models.largest_curvature()
    result = np.zeros((len(models.label), models.layer.shape[1] + 1), np.float32)
    active, now, ahead, momentum = np.arange(len(result)), result, result, np.ones_like(step)
    for _ in range(MAX_STEPS):
        end = ahead - step * models.gradient(ahead, slope)
        end[:, 1:] = proximal(end[:, 1:], step, active)
        momentum = np.where(_dot(ahead - end, end - now) > 0, np.float32(1), momentum)
        following = (1 + np.sqrt(1 + 4 * momentum**2)) / 2
        ahead = end + (momentum - 1) / following * (end - now)
        change = _relative_change(now, end)
        result[active] = now = end
        momentum = following
        going = np.flatnonzero(change >= TOLERANCE)
        if not len(going):
            return result
        if len(going) < len(active):
            models, active = models.only(going), active[going]
            now, ahead, momentum, step = now[going], ahead[going], momentum[going], step[going]
    logger.warning("Coefficients still changed by %.1e after %d steps; ranks may be off.", change.max(), MAX_STEPS)
    return result


def _relative_change(before: Singles, after: Singles) -> Singles:
    """Return the largest change (n,) of every row as a share of its largest value."""
    largest = np.maximum(np.abs(after).max(axis=1), np.finfo(np.float32).tiny)
    return np.abs(after - before).max(axis=1) / largest
