"""Weighted losses of a linear score with an intercept: value, derivatives and convex dual.

A loss is ``sum_i l_i(f_i)`` of scores ``f`` (n,). A *residual* is minus its derivative by the
scores. The dual of ``sum_i l_i(b + beta z_i) + penalty(beta)`` is to maximise
``- sum_i l_i*(-theta_i) - penalty*(Z' theta)`` over ``theta`` that sum to zero, because the
intercept is free; at the minimum ``theta`` is the residual.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import entr, expit

from sparse_probing.probes.inputs.validation import Floats


@dataclass(frozen=True)
class LogisticLoss:
    """``sum_i w_i log(1 + exp(-y_i f_i))``."""

    y: Floats
    """(n,) -1/+1."""
    weights: Floats
    """(n,) positive."""

    def value(self, scores: Floats) -> float:
        """Return the loss of scores (n,)."""
        return float(self.weights @ np.logaddexp(0, -self.y * scores))

    def derivatives(self, scores: Floats) -> tuple[Floats, Floats]:
        """Return the residual (n,) and the curvature (n,) at scores."""
        wrong = expit(-self.y * scores)
        return self.weights * self.y * wrong, self.weights * wrong * (1 - wrong)

    def null_intercept(self) -> float:
        """Return the best constant score."""
        return float(np.log(self.weights[self.y > 0].sum() / self.weights[self.y < 0].sum()))

    def feasible(self, residual: Floats) -> Floats:
        """Return the residual with the heavier class scaled down, so that it sums to zero."""
        positive, negative = residual[self.y > 0].sum(), -residual[self.y < 0].sum()
        lighter = min(positive, negative)
        return residual * np.where(self.y > 0, lighter / positive, lighter / negative)

    def dual_value(self, theta: Floats) -> float:
        """Return ``- sum_i l_i*(-theta_i)``: weighted entropies of the shares ``y_i theta_i / w_i``."""
        share = np.clip(self.y * theta / self.weights, 0, 1)
        return float(self.weights @ (entr(share) + entr(1 - share)))


@dataclass(frozen=True)
class SquaredLoss:
    """``sum_i w_i (y_i - f_i)^2 / 2``."""

    y: Floats
    """(n,)"""
    weights: Floats
    """(n,) positive."""

    def value(self, scores: Floats) -> float:
        """Return the loss of scores (n,)."""
        return float(self.weights @ (self.y - scores) ** 2 / 2)

    def derivatives(self, scores: Floats) -> tuple[Floats, Floats]:
        """Return the residual (n,) and the curvature (n,) at scores."""
        return self.weights * (self.y - scores), self.weights

    def null_intercept(self) -> float:
        """Return the best constant score."""
        return float(self.weights @ self.y / self.weights.sum())

    def feasible(self, residual: Floats) -> Floats:
        """Return the residual less the share of its sum that the intercept would take."""
        return residual - self.weights * (residual.sum() / self.weights.sum())

    def dual_value(self, theta: Floats) -> float:
        """Return ``- sum_i l_i*(-theta_i) = sum_i theta_i y_i - theta_i^2 / (2 w_i)``."""
        return float(theta @ self.y - theta**2 @ (1 / self.weights) / 2)


Loss = LogisticLoss | SquaredLoss
