"""The base of all estimators: a linear function of the neurons of a support."""

from __future__ import annotations

from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted, validate_data

from sparse_probing.probes.inputs.scaling import Standardiser
from sparse_probing.probes.inputs.validation import Floats, Integers
from sparse_probing.probes.l1.path_following import SparseFit
from sparse_probing.probes.l2.logistic import LogisticFit
from sparse_probing.probes.l2.ridge import RidgeFit

DTYPES = (np.float64, np.float32)
"""Activations of other dtypes are converted to the first."""


class LinearProbe(BaseEstimator):
    """A linear function of the neurons of a support: the base of all estimators.

    Attributes
    ----------
    support_ : (k,) array of int
        Neurons of the probe, best first where they are ranked.
    coef_ : (1, d) array of float64
        Zero outside the support.
    intercept_ : (1,) array of float64
    n_iter_ : int
        Steps of the solver.
    converged_ : bool
        Whether the relative gap of the objective to its minimum, as the solver bounds or estimates
        it, is at most 1e-6.
    n_features_in_ : int
        Number of neurons, d.
    feature_names_in_ : (d,) array of str
        Only when ``X`` has column names that are all strings.
    """

    n_features_in_: int
    standardize: bool = False

    def _linear_function(self, X: ArrayLike) -> Floats:
        """Return the values (n,) of the linear function of activations (n, d)."""
        check_is_fitted(self)
        activations = validate_data(self, X, reset=False, dtype=DTYPES)
        return activations[:, self.support_] @ self.coef_[0, self.support_] + self.intercept_[0]

    def _standardised(self, activations: NDArray) -> tuple[NDArray, Standardiser | None]:
        """Return activations (n, d), standardised if ``standardize``, and the standardiser."""
        if not self.standardize:
            return activations, None
        standardiser = Standardiser.of(activations)
        return standardiser.apply(activations), standardiser

    def _set_fit(
        self, support: Integers, fit: LogisticFit | RidgeFit | SparseFit, standardiser: Standardiser | None = None
    ) -> Self:
        """Set the fitted attributes from a fit to the columns ``support``, which were standardised or not."""
        coef, intercept = fit.coef, fit.intercept
        if standardiser is not None:
            coef, intercept = standardiser.undo(support, coef, intercept)
        self.support_, self.intercept_ = support, np.array([intercept])
        self.coef_ = np.zeros((1, self.n_features_in_))
        self.coef_[0, support] = coef
        self.n_iter_, self.converged_ = int(fit.iterations), bool(fit.converged)
        return self
