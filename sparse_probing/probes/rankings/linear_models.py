"""Rankings by the coefficients of a linear model of all neurons together.

Both models are fitted to neurons of mean 0 and deviation 1 on the rows of the feature, with
balanced class weights and an intercept that is not penalised. The models of all features take
their steps together, so that a step is two matrix products with one float32 copy of the layer. No
digit of a model depends on the other features.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from sparse_probing.probes.inputs.blocks import tiles
from sparse_probing.probes.inputs.validation import Floats, Integers, LabelledRows
from sparse_probing.probes.rankings.row_sums import moments, product, sets_of_rows

logger = logging.getLogger(__name__)

Singles = NDArray[np.floating]

L1_SHARE = 0.1
"""Weight of the L1 penalty, as a share of the smallest weight that makes all coefficients 0."""
TOLERANCE = 1e-5
"""Relative change of the coefficients of a model in one step at which the model is precise enough for a ranking."""
MAX_STEPS = 3000


def l1_logistic(X: NDArray, features: Sequence[LabelledRows], _rngs: Sequence[np.random.Generator]) -> Floats:
    """Return the absolute coefficients of an L1-regularised logistic regression.

    Most are 0. A neuron that is not in the model scores the absolute gradient of its loss, as a
    share of the penalty, minus 1: below 0, and higher the nearer the neuron is to entering.
    """
    models = _Models.of(X, features)
    at_zero = models.gradient(np.zeros((len(features), X.shape[1] + 1), np.float32), _logistic)
    penalty = np.float32(L1_SHARE) * np.abs(at_zero[:, 1:]).max(axis=1, keepdims=True)

    def shrink(coef: Singles, step: Singles, active: Integers) -> Singles:
        return np.sign(coef) * np.maximum(np.abs(coef) - step * penalty[active], 0)

    end = _minimise(models, _logistic, 1 / 4, shrink)
    slope = np.abs(models.gradient(end, _logistic)[:, 1:])
    # The penalty is 0 where all neurons are constant.
    outside = np.divide(slope, penalty, out=np.zeros_like(slope), where=penalty > 0) - 1
    coef = np.abs(end[:, 1:])
    return np.where(coef > 0, coef, np.minimum(outside, 0)).astype(np.float64)


def linear_svm(X: NDArray, features: Sequence[LabelledRows], _rngs: Sequence[np.random.Generator]) -> Floats:
    """Return the absolute coefficients of a linear support vector machine.

    The objective is the mean squared hinge loss plus ``|coef|^2 / 2``: scikit-learn's
    ``LinearSVC(C=1 / n, class_weight="balanced")``, without its penalty on the intercept.
    """

    def squared_hinge(margins: Singles) -> Singles:
        return -2 * np.maximum(1 - margins, 0)

    end = _minimise(_Models.of(X, features), squared_hinge, 2, lambda coef, step, _: coef / (1 + step))
    return np.abs(end[:, 1:]).astype(np.float64)


def _logistic(margins: Singles) -> Singles:
    """Return the derivative of the logistic loss by the margins."""
    return -expit(-margins)


def _dot(left: Singles, right: Singles) -> Singles:
    """Return the inner products of rows (n, 1)."""
    return np.sum(left * right, axis=1, keepdims=True)


@dataclass(frozen=True)
class _Models:
    """One linear model per feature on the same layer; parameters are (n_features, d + 1), intercepts first."""

    layer: Singles
    """(N, d), of mean 0 and deviation 1 on all rows."""
    scale: Singles
    """(n_features, d) factors that give the layer deviation 1 on the rows of a feature; 0 for constant neurons."""
    shift: Singles
    """(n_features, d) mean of the layer, scaled in this way, on these rows."""
    label: Singles
    """(n_features, N) -1/+1."""
    weight: Singles
    """(n_features, N): 0 for rows outside the feature; each class sums to 1/2."""

    @classmethod
    def of(cls, X: NDArray, features: Sequence[LabelledRows]) -> _Models:
        """Standardise the layer once, and measure every set of rows in that scale."""
        members, set_of_feature = sets_of_rows(features, len(X))
        mean, deviation = moments(X, np.vstack([np.ones((1, len(X)), np.bool_), members]))
        inverse = np.divide(1, deviation, out=np.zeros_like(deviation), where=deviation > 0)
        layer = np.empty_like(X, dtype=np.float32)
        for rows, columns, tile in tiles(X):
            layer[rows, columns] = (tile - mean[0, columns]) * inverse[0, columns]
        scale, shift = deviation[0] * inverse[1:], (mean[1:] - mean[0]) * inverse[1:]
        label, weight = np.ones((2, len(features), len(X)), np.float32)
        weight[:] = 0
        for number, feature in enumerate(features):
            n_positive = np.count_nonzero(feature.label > 0)
            size_of_class = np.where(feature.label > 0, n_positive, len(feature.label) - n_positive)
            label[number, feature.row] = feature.label
            weight[number, feature.row] = 0.5 / size_of_class
        scale, shift = (values[set_of_feature].astype(np.float32) for values in (scale, shift))
        return cls(layer, scale, shift, label, weight)

    def only(self, numbers: Integers) -> _Models:
        """Return the models with these numbers, on the same layer."""
        return _Models(self.layer, self.scale[numbers], self.shift[numbers], self.label[numbers], self.weight[numbers])

    def scores(self, theta: Singles) -> Singles:
        """Return decision values (n_features, N)."""
        coef = theta[:, 1:]
        return product(self.scale * coef, self.layer.T) + (theta[:, :1] - _dot(self.shift, coef))

    def transposed(self, values: Singles) -> Singles:
        """Apply the transpose of :meth:`scores` to ``values`` (n_features, N)."""
        total = values.sum(axis=1, keepdims=True)
        return np.hstack([total, self.scale * product(values, self.layer) - self.shift * total])

    def gradient(self, theta: Singles, slope: Callable[[Singles], Singles]) -> Singles:
        """Return the gradient of the mean loss, whose derivative by the margin is ``slope``."""
        return self.transposed(self.weight * self.label * slope(self.label * self.scores(theta)))

    def largest_curvature(self) -> Singles:
        """Return the largest eigenvalue (n_features, 1) of the weighted second moments, by power iteration."""
        start = np.random.default_rng(0).standard_normal((1, self.layer.shape[1] + 1), np.float32)
        vector = np.repeat(start, len(self.label), axis=0)
        for _ in range(20):
            vector /= np.sqrt(_dot(vector, vector))
            vector = self.transposed(self.weight * self.scores(vector))
        return np.sqrt(_dot(vector, vector))


def _minimise(
    models: _Models,
    slope: Callable[[Singles], Singles],
    largest_bend: float,
    proximal: Callable[[Singles, Singles, Integers], Singles],
) -> Singles:
    """Take accelerated proximal gradient steps in every model until its coefficients hardly change.

    Parameters
    ----------
    models : _Models
    slope : callable
        The derivative of the loss by the margins.
    largest_bend : float
        The largest second derivative of the loss.
    proximal : callable
        The proximal map of the penalty: from coefficients, steps and the numbers of models to
        coefficients.

    References
    ----------
    Beck and Teboulle, A Fast Iterative Shrinkage-Thresholding Algorithm (2009); O'Donoghue and
    Candes, Adaptive Restart for Accelerated Gradient Schemes (2015), the gradient scheme.
    """
    # Power iteration ends a few per cent below the eigenvalue.
    step = np.float32(1 / (1.1 * largest_bend)) / models.largest_curvature()
    result = np.zeros((len(models.label), models.layer.shape[1] + 1), np.float32)
    active, now, ahead, momentum = np.arange(len(result)), result, result, np.ones_like(step)
    for _ in range(MAX_STEPS):
        end = ahead - step * models.gradient(ahead, slope)
        end[:, 1:] = proximal(end[:, 1:], step, active)
        # Restart the momentum of the models whose last step went against their gradient.
        momentum = np.where(_dot(ahead - end, end - now) > 0, np.float32(1), momentum)
        next_momentum = (1 + np.sqrt(1 + 4 * momentum**2)) / 2
        ahead = end + (momentum - 1) / next_momentum * (end - now)
        largest = np.maximum(np.abs(end).max(axis=1), np.finfo(np.float32).tiny)
        change = np.abs(end - now).max(axis=1) / largest
        result[active] = now = end
        momentum = next_momentum
        # Continue with the models that still change.
        moving = np.flatnonzero(change >= TOLERANCE)
        if not len(moving):
            return result
        if len(moving) < len(active):
            models, active = models.only(moving), active[moving]
            now, ahead, momentum, step = now[moving], ahead[moving], momentum[moving], step[moving]
    logger.warning("Coefficients still changed by %.1e after %d steps; ranks may be off.", change.max(), MAX_STEPS)
    return result
