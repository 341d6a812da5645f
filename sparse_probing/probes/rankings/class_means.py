"""Rankings by the distance between the class means."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sparse_probing.probes.rankings.sums import sets_of_rows, sums_over_sets
from sparse_probing.probes.validation import Booleans, Floats, LabelledRows

Generators = Sequence[np.random.Generator]


def mean_difference(X: NDArray, problems: Sequence[LabelledRows], _rngs: Generators) -> Floats:
    """Absolute difference between the class means of the raw activations."""
    members, own = sets_of_rows(problems, len(X))
    sums, _, _ = sums_over_sets(X, np.vstack([members, _positives(problems, len(X))]))
    return np.abs(_contrasts(problems, sums[len(members) :], sums[own])) / _pairs(problems)


def standardised_mean_difference(X: NDArray, problems: Sequence[LabelledRows], _rngs: Generators) -> Floats:
    """Absolute difference between the class means of neurons of deviation 1 on the rows of the feature.

    It puts neurons in the same order as the F statistic, which grows with it.
    """
    difference, between, within = _analysis_of_variance(X, problems)
    return _ratio(np.abs(difference), np.sqrt((between + within) / _n_rows(problems)))


def f_statistic(X: NDArray, problems: Sequence[LabelledRows], _rngs: Generators) -> Floats:
    """F of a one-way analysis of variance with two classes (the squared t statistic).

    Infinite where a neuron has one value in each class.
    """
    _, between, within = _analysis_of_variance(X, problems)
    return _ratio(between, within / np.maximum(_n_rows(problems) - 2, 1))


def _analysis_of_variance(X: NDArray, problems: Sequence[LabelledRows]) -> tuple[Floats, Floats, Floats]:
    """Return differences of class means and sums of squares between and within classes, each (n_problems, d)."""
    members, own = sets_of_rows(problems, len(X))
    sets = np.vstack([members, _positives(problems, len(X))])
    sums, squares, _ = sums_over_sets(X, sets, n_squared=len(members))
    totals, of_positives = sums[: len(members)], sums[len(members) :]
    scatter = squares - totals**2 / members.sum(axis=1, keepdims=True)
    contrasts = _contrasts(problems, of_positives, totals[own])
    difference = contrasts / _pairs(problems)
    between = contrasts * difference / _n_rows(problems)
    return difference, between, np.maximum(scatter[own] - between, 0)


def _contrasts(problems: Sequence[LabelledRows], of_positives: Floats, totals: Floats) -> Floats:
    """Return the differences of means times the pairs, from sums (n_problems, d) over positive and over all rows."""
    return of_positives * _n_rows(problems) - totals * _n_positive(problems)


def _positives(problems: Sequence[LabelledRows], n_rows: int) -> Booleans:
    """Return which rows are positive (n_problems, n_rows)."""
    positives = np.zeros((len(problems), n_rows), dtype=np.bool_)
    for positive, problem in zip(positives, problems, strict=True):
        positive[problem.row] = problem.label > 0
    return positives


def _pairs(problems: Sequence[LabelledRows]) -> Floats:
    """Return the number of pairs (n_problems, 1) of a positive and a negative row."""
    return _n_positive(problems) * (_n_rows(problems) - _n_positive(problems))


def _n_positive(problems: Sequence[LabelledRows]) -> Floats:
    return np.array([[float(np.count_nonzero(p.label > 0))] for p in problems])


def _n_rows(problems: Sequence[LabelledRows]) -> Floats:
    return np.array([[float(len(p.row))] for p in problems])


def _ratio(numerator: Floats, denominator: Floats) -> Floats:
    """Return the ratio, 0 / 0 as 0."""
    defined = (numerator > 0) | (denominator > 0)
    with np.errstate(divide="ignore"):
        return np.divide(numerator, denominator, out=np.zeros_like(numerator), where=defined)
