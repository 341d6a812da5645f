"""A sparse regression probe."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, Self

from numpy.typing import ArrayLike
from sklearn.base import RegressorMixin
from sklearn.utils.validation import validate_data

from probing_datasets.foundation.errors import ProbeError
from sparse_probing.probes.estimators.linear import DTYPES, LinearProbe
from sparse_probing.probes.inputs.scaling import Scaling
from sparse_probing.probes.inputs.validation import Floats, Integers
from sparse_probing.probes.l2.choose_C import ALPHA_GRID, best_alpha
from sparse_probing.probes.l2.ridge import (
    fit_nested_top_k_regression,
    forward_selection,
    nested_ridge_held_out_predictions,
)
from sparse_probing.probes.rankings.regression_and_multiclass import absolute_correlation
from sparse_probing.probes.rankings.top_neurons import top_neurons
from sparse_probing.probes.splits.grouped_split import Split


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
    alpha : float or None
        Weight of the ridge, positive. None chooses it on validation folds of the rows of ``fit``, with whole
        groups; 1 where there are fewer than two groups.
    scaling : {"rms", "unit", "paper", "none"}
        As in :class:`~sparse_probing.probes.estimators.classifiers.DenseProbe`.

    Attributes
    ----------
    alpha_ : float
        The weight of the ridge, as it was given or chosen.

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
        alpha: float | None = None,
        scaling: Scaling = "rms",
    ) -> None:
        self.k = k
        self.selection = selection
        self.alpha = alpha
        self.scaling = scaling

    def fit(self, X: ArrayLike, y: ArrayLike, groups: ArrayLike | None = None) -> Self:
        """Select neurons of ``X`` (n, d) for the targets ``y`` (n,) and fit them together.

        ``groups`` (n,) are the rows that the choice of alpha keeps together, every row its own group by default.
        """
        activations, targets = validate_data(self, X, y, dtype=DTYPES, y_numeric=True, ensure_min_samples=2)
        rows, standardiser = self._scaled(activations)
        if self.selection not in SELECTIONS:
            raise ProbeError(f"There is no selection {self.selection!r}. Choose from {', '.join(SELECTIONS)}.")
        support = SELECTIONS[self.selection](rows, targets, min(self.k, rows.shape[1]))
        ranked, k = rows[:, support], len(support)

        def choose(folds: list[Split]) -> Integers:
            predictions = nested_ridge_held_out_predictions(ranked, targets, [k], folds, ALPHA_GRID[::-1])
            return best_alpha(targets, predictions, folds)

        self.alpha_ = self.alpha
        if self.alpha_ is None:  # of equal alphas the largest, whose ridge is strongest
            best = self._choice(choose, None, groups, len(targets))
            self.alpha_ = 1.0 if best is None else ALPHA_GRID[::-1][best]
        fits = fit_nested_top_k_regression(ranked, targets, [k], self.alpha_)
        return self._set_fit(support, fits[k], standardiser)

    def predict(self, X: ArrayLike) -> Floats:
        """Return the predicted targets (n,) of activations (n, d)."""
        return self._linear_function(X)
