"""What classifiers and regressors share: a linear function of the neurons of a support."""

from __future__ import annotations

from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted, validate_data

from sparse_probing.probes.l1.path_following import SparseFit
from sparse_probing.probes.l2.logistic import LogisticFit
from sparse_probing.probes.l2.ridge import RidgeFit
from sparse_probing.probes.scaling import Standardiser
from sparse_probing.probes.validation import Floats, Integers

DTYPES = (np.float64, np.float32)
"""Activations of other dtypes are widened to the first."""


class LinearProbe(BaseEstimator):
    """A linear function of some neurons.

    Attributes
    ----------
    support_ : (k,) array of int
        Neurons of the probe, best first where they were ranked.
    coef_ : (1, d) array of float64
        Zero outside the support.
    intercept_ : (1,) array of float64
    n_iter_ : int
        Steps of the solver.
    converged_ : bool
        Whether the objective is within 1e-6 (relatively) of its minimum, as far as the solver can tell.
    n_features_in_ : int
    feature_names_in_ : (d,) array of str
        Only when ``X`` has column names that are all strings.
    """

    n_features_in_: int
    standardize: bool = False

    def _values(self, X: ArrayLike) -> Floats:
        """Return the linear function (n,) of activations (n, d)."""
        check_is_fitted(self)
        activations = validate_data(self, X, reset=False, dtype=DTYPES)
        return activations[:, self.support_] @ self.coef_[0, self.support_] + self.intercept_[0]

    def _scaled(self, activations: NDArray) -> tuple[NDArray, Standardiser | None]:
        """Return activations (n, d), standardised if asked, and the standardiser."""
        if not self.standardize:
            return activations, None
        scale = Standardiser.of(activations)
        return scale.apply(activations), scale

    def _keep(
        self, support: Integers, fit: LogisticFit | RidgeFit | SparseFit, scale: Standardiser | None = None
    ) -> Self:
        """Take over a fit to the columns ``support``, for activations as they come."""
        coef, intercept = fit.coef, fit.intercept
        if scale is not None:
            coef, intercept = scale.undo(support, coef, intercept)
        self.support_, self.intercept_ = support, np.array([intercept])
        self.coef_ = np.zeros((1, self.n_features_in_))
        self.coef_[0, support] = coef
        self.n_iter_, self.converged_ = int(fit.iterations), bool(fit.converged)
        return self
