"""The L2-regularised softmax objective, and coordinates in which it is well conditioned.

``sum_i w_i (log sum_c exp(f_ci) - f_yi,i) + |B|^2 / 2`` with scores ``f = B Z + b`` (K, n).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import cholesky, solve_triangular
from scipy.special import log_softmax, softmax

from sparse_probing.probes.inputs.validation import Floats, Integers


@dataclass(frozen=True)
class SoftmaxObjective:
    """Values and derivatives by coefficients B (K, p) and intercepts b (K,)."""

    design: Floats
    """Z (p, n), centred columns."""
    codes: Integers
    """(n,) classes from 0 to K - 1."""
    weights: Floats
    """(n,) positive."""

    @property
    def n_classes(self) -> int:
        """K."""
        return int(self.codes.max()) + 1

    def scores(self, coef: Floats, intercept: Floats) -> Floats:
        """Return the scores (K, n)."""
        return coef @ self.design + intercept[:, None]

    def loss(self, scores: Floats) -> tuple[float, Floats]:
        """Return the loss and its derivative (K, n) by the scores."""
        log_shares, rows = log_softmax(scores, axis=0), np.arange(len(self.codes))
        loss = -self.weights @ log_shares[self.codes, rows]
        derivative = np.exp(log_shares)
        derivative[self.codes, rows] -= 1
        return float(loss), derivative * self.weights

    def derivatives(self, coef: Floats, intercept: Floats) -> tuple[float, Floats, Floats]:
        """Return the objective and its gradients by coefficients (K, p) and intercepts (K,)."""
        loss, derivative = self.loss(self.scores(coef, intercept))
        return loss + float(np.square(coef).sum()) / 2, derivative @ self.design.T + coef, derivative.sum(axis=1)

    def hessian_product(self, shares: Floats, coef: Floats, intercept: Floats) -> tuple[Floats, Floats]:
        """Multiply a direction (K, p), (K,) by the Hessian at a point with these class probabilities (K, n)."""
        change = self.scores(coef, intercept)
        change = self.weights * shares * (change - (shares * change).sum(axis=0))
        return change @ self.design.T + coef, change.sum(axis=1)

    def best_intercept(self, coef: Floats, intercept: Floats) -> Floats:
        """Return the intercepts (K,) that minimise the loss with these coefficients, by Newton steps."""
        scores = coef @ self.design
        loss, derivative = self.loss(scores + intercept[:, None])
        while True:
            shares = softmax(scores + intercept[:, None], axis=0)
            weighted = shares * self.weights
            # Equal shifts of all intercepts change nothing: a constant matrix makes that direction regular.
            hessian = np.diag(weighted.sum(axis=1)) - weighted @ shares.T + self.weights.sum() / self.n_classes**2
            moved = intercept - np.linalg.solve(hessian, derivative.sum(axis=1))
            moved_loss, derivative = self.loss(scores + moved[:, None])
            if not moved_loss < loss:
                return intercept - intercept.mean()
            intercept, loss = moved, moved_loss


@dataclass(frozen=True)
class Whitening:
    """Flat coordinates (v, U) of ``B = U L^-1`` and ``b = v / s``: a class has the identity as Hessian at zero."""

    factor: Floats
    """L (p, p)"""
    scale: float
    """s"""

    @classmethod
    def of(cls, objective: SoftmaxObjective) -> Whitening:
        """Factor the Hessian of one class at zero, where all classes are equally likely."""
        curvature = objective.weights * (objective.n_classes - 1) / objective.n_classes**2
        hessian = (objective.design * curvature) @ objective.design.T
        np.einsum("ii->i", hessian)[:] += 1
        factor = cholesky(hessian, lower=True, overwrite_a=True, check_finite=False)
        return cls(factor, float(np.sqrt(curvature.sum())))

    def split(self, flat: Floats) -> tuple[Floats, Floats]:
        """Return coefficients (K, p) and intercepts (K,) of flat coordinates."""
        whitened = flat.reshape(-1, len(self.factor) + 1)
        coef = solve_triangular(self.factor, whitened[:, 1:].T, lower=True, trans="T", check_finite=False).T
        return coef, whitened[:, 0] / self.scale

    def join(self, by_coef: Floats, by_intercept: Floats) -> Floats:
        """Return the flat gradient of gradients by coefficients and intercepts: the transpose of ``split``."""
        whitened = solve_triangular(self.factor, by_coef.T, lower=True, check_finite=False).T
        return np.column_stack([by_intercept / self.scale, whitened]).ravel()
