"""Rankings by the distance between the class means."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sparse_probing.probes.inputs.validation import Booleans, Floats, LabelledRows
from sparse_probing.probes.rankings.row_sums import ratio_or_zero, sets_of_rows, sums_over_sets

Generators = Sequence[np.random.Generator]


def mean_difference(X: NDArray, features: Sequence[LabelledRows], _rngs: Generators) -> Floats:
    """Return the absolute differences between the class means of the raw activations."""
    members, set_of_feature = sets_of_rows(features, len(X))
    sums, _, _ = sums_over_sets(X, np.vstack([members, _positives(features, len(X))]))
    totals, of_positives = sums[: len(members)], sums[len(members) :]
    n, n_positive = _counts(features)
    contrasts = of_positives * n - totals[set_of_feature] * n_positive
    return np.abs(contrasts) / (n_positive * (n - n_positive))


def standardised_mean_difference(X: NDArray, features: Sequence[LabelledRows], _rngs: Generators) -> Floats:
    """Return the absolute differences between class means, in standard deviations of the rows of the feature.

    The order of neurons is that of the F statistic, which increases with this difference.
    """
    difference, between, within = _analysis_of_variance(X, features)
    n, _ = _counts(features)
    return ratio_or_zero(np.abs(difference), np.sqrt((between + within) / n))


def f_statistic(X: NDArray, features: Sequence[LabelledRows], _rngs: Generators) -> Floats:
    """Return F of a one-way analysis of variance with two classes (the squared t statistic).

    Infinite where a neuron has one value in each class.
    """
    _, between, within = _analysis_of_variance(X, features)
    n, _ = _counts(features)
    return ratio_or_zero(between, within / np.maximum(n - 2, 1))


def _analysis_of_variance(X: NDArray, features: Sequence[LabelledRows]) -> tuple[Floats, Floats, Floats]:
    """Return differences of class means and sums of squares between and within classes, each (n_features, d)."""
    members, set_of_feature = sets_of_rows(features, len(X))
    sets = np.vstack([members, _positives(features, len(X))])
    sums, squares, _ = sums_over_sets(X, sets, n_squared=len(members))
    totals, of_positives = sums[: len(members)], sums[len(members) :]
    scatter = squares - totals**2 / members.sum(axis=1, keepdims=True)
    n, n_positive = _counts(features)
    # The difference of means, times the number of pairs of a positive and a negative row.
    contrasts = of_positives * n - totals[set_of_feature] * n_positive
    difference = contrasts / (n_positive * (n - n_positive))
    between = contrasts * difference / n
    return difference, between, np.maximum(scatter[set_of_feature] - between, 0)


def _positives(features: Sequence[LabelledRows], n_rows: int) -> Booleans:
    """Return which rows are positive (n_features, n_rows)."""
    positives = np.zeros((len(features), n_rows), dtype=np.bool_)
    for positive, feature in zip(positives, features, strict=True):
        positive[feature.row] = feature.label > 0
    return positives


def _counts(features: Sequence[LabelledRows]) -> tuple[Floats, Floats]:
    """Return the numbers of rows and of positive rows, each (n_features, 1)."""
    n_rows = np.array([[float(len(feature.row))] for feature in features])
    n_positive = np.array([[float(np.count_nonzero(feature.label > 0))] for feature in features])
    return n_rows, n_positive
