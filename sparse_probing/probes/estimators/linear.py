"""The base of all estimators: a linear function of the neurons of a support."""

from __future__ import annotations

from collections.abc import Callable
from typing import Self, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted, validate_data

from probing_datasets.foundation.errors import ProbeError
from sparse_probing.probes.inputs.scaling import Scaling, Standardiser
from sparse_probing.probes.inputs.validation import Floats, Integers
from sparse_probing.probes.l1.path_following import SparseFit
from sparse_probing.probes.l2.logistic import LogisticFit
from sparse_probing.probes.l2.ridge import RidgeFit
from sparse_probing.probes.splits.grouped_split import Split
from sparse_probing.probes.splits.validation_folds import validation_folds

VALIDATION_FOLDS = 5
"""Folds on which C or alpha is chosen."""
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
    scaling: Scaling = "rms"

    def _linear_function(self, X: ArrayLike) -> Floats:
        """Return the values (n,) of the linear function of activations (n, d)."""
        check_is_fitted(self)
        activations = validate_data(self, X, reset=False, dtype=DTYPES)
        return activations[:, self.support_] @ self.coef_[0, self.support_] + self.intercept_[0]

    def _scaled(self, activations: NDArray) -> tuple[NDArray, Standardiser | None]:
        """Return activations (n, d) on the scale of the fit, and what brought them there."""
        if self.scaling not in get_args(Scaling):
            raise ProbeError(f"There is no scaling {self.scaling!r}. Choose from {', '.join(get_args(Scaling))}.")
        standardiser = Standardiser.of(activations, self.scaling)
        return (activations, None) if standardiser is None else (standardiser.apply(activations), standardiser)

    def _choice(
        self, choose: Callable[[list[Split]], Integers], labels: NDArray | None, groups: ArrayLike | None, n_rows: int
    ) -> int | None:
        """Return the index that ``choose`` takes by validation folds with whole groups; None without two such folds."""
        codes = np.arange(n_rows) if groups is None else np.unique(np.asarray(groups), return_inverse=True)[1]
        if codes.shape != (n_rows,):
            raise ProbeError(f"There are {n_rows} rows and groups of shape {codes.shape}. Pass one group per row.")
        folds = validation_folds(labels, codes, VALIDATION_FOLDS, seed=0)
        return int(choose(folds)[0]) if folds else None

    def _set_fit(
        self, support: Integers, fit: LogisticFit | RidgeFit | SparseFit, standardiser: Standardiser | None = None
    ) -> Self:
        """Set the fitted attributes from a fit to the columns ``support``, which were scaled or not."""
        coef, intercept = fit.coef, fit.intercept
        if standardiser is not None:
            coef, intercept = standardiser.undo(support, coef, intercept)
        self.support_, self.intercept_ = support, np.array([float(intercept)])
        self.coef_ = np.zeros((1, self.n_features_in_))
        self.coef_[0, support] = coef
        self.n_iter_, self.converged_ = int(fit.iterations), bool(fit.converged)
        return self
