"""A sparse regression probe."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, Self

from numpy.typing import ArrayLike
from sklearn.base import RegressorMixin
from sklearn.utils.validation import validate_data

from probing_datasets.foundation.errors import ProbeError
from sparse_probing.probes.estimators.linear import DTYPES, LinearProbe
from sparse_probing.probes.inputs.validation import Floats, Integers
from sparse_probing.probes.l2.ridge import fit_nested_top_k_regression, forward_selection
from sparse_probing.probes.rankings.regression_and_multiclass import absolute_correlation
from sparse_probing.probes.rankings.top_neurons import top_neurons


def most_correlated(X: ArrayLike, y: ArrayLike, k: int) -> Integers:
    """Return the ``k`` neurons of ``X`` (n, d) with the largest correlations with ``y`` (n,), largest first."""
    return top_neurons(absolute_correlation(X, y), k)


SELECTIONS: dict[str, Callable[[ArrayLike, ArrayLike, int], Integers]] = {
    "correlation": most_correlated,
    "forward": forward_selection,
}
"""``select(X (n, d), y (n,), k) -> neurons (k,)``"""


class SparseRegressor(RegressorMixin, LinearProbe):
    """A ridge regression on a few neurons, with the fitted attributes of :class:`LinearProbe`.

    Parameters
    ----------
    k : int
        Number of neurons of the probe; all neurons if there are fewer.
    selection : {"correlation", "forward"}
        The neurons with the largest correlations, or one after another the neuron that lowers the
        squared error most together with those before it.
    alpha : float
        Weight of the ridge, positive.
    standardize : bool
        Fit neurons that are scaled to mean 0 and deviation 1. Coefficients are always those of
        unscaled neurons.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.random.default_rng(0).normal(size=(200, 50))
    >>> probe = SparseRegressor(k=2, selection="forward").fit(X, 2 * X[:, 7] - X[:, 3])
    >>> probe.support_.tolist(), bool(probe.score(X, 2 * X[:, 7] - X[:, 3]) > 0.99)
    ([7, 3], True)
    """

    def __init__(
        self,
        k: int = 8,
        selection: Literal["correlation", "forward"] = "correlation",
        alpha: float = 1.0,
        standardize: bool = False,
    ) -> None:
        self.k = k
        self.selection = selection
        self.alpha = alpha
        self.standardize = standardize

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Select neurons of ``X`` (n, d) for the targets ``y`` (n,) and fit them together."""
        activations, targets = validate_data(self, X, y, dtype=DTYPES, y_numeric=True, ensure_min_samples=2)
        rows, standardiser = self._standardised(activations)
        if self.selection not in SELECTIONS:
            raise ProbeError(f"There is no selection {self.selection!r}. Choose from {', '.join(SELECTIONS)}.")
        support = SELECTIONS[self.selection](rows, targets, min(self.k, rows.shape[1]))
        fits = fit_nested_top_k_regression(rows[:, support], targets, [len(support)], self.alpha)
        return self._set_fit(support, fits[len(support)], standardiser)

    def predict(self, X: ArrayLike) -> Floats:
        """Return the predicted targets (n,) of activations (n, d)."""
        return self._linear_function(X)
