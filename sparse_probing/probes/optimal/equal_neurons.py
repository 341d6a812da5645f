"""Supports that are not unique: neurons that another neuron can replace without any change of the objective.

Two kinds exist. The scaled column of a neuron can be equal, or opposite, to that of another: copies of a neuron, and
all constant neurons. And the best coefficient of a neuron can be zero: then any other neuron does as well.
"""

from __future__ import annotations

from collections import Counter

import numpy as np

from sparse_probing.probes.inputs.validation import Integers
from sparse_probing.probes.optimal.intercept import LARGEST_CHANGE, equally_good_intercepts
from sparse_probing.probes.optimal.problem import SparseProblem, Support, as_support
from sparse_probing.probes.optimal.support_fit import SupportFit, objective_of


def equal_neurons(problem: SparseProblem, neuron: int) -> Integers:
    """Return the neurons, in increasing order, whose column is that of ``neuron`` or its opposite, to the last digit.

    The neuron itself is one of them.
    """
    column = problem.columns[neuron]
    pivot = int(np.argmax(np.abs(column)))  # a single row rules nearly all other neurons out
    like = np.flatnonzero(np.abs(problem.columns[:, pivot]) == np.abs(column[pivot]))
    others = problem.columns[like]
    return like[(others == column).all(axis=1) | (others == -column).all(axis=1)]


def with_lowest_neurons(problem: SparseProblem, support: Integers) -> Support:
    """Return the support with every neuron replaced by the lowest equal one that the support does not hold yet."""
    copies = Counter(tuple(equal_neurons(problem, j).tolist()) for j in support.tolist())
    return as_support(j for equal, n in copies.items() for j in equal[:n])


def replaceable(problem: SparseProblem, fit: SupportFit) -> Support:
    """Return the neurons of a support that a neuron outside it can replace at the same objective.

    Each has an equal neuron outside the support, or a coefficient of zero. A coefficient counts as zero if the
    objective without it is no larger, to a relative change of :data:`LARGEST_CHANGE`; the other coefficients
    are kept, and a hinge gets its best intercept.
    """
    if len(fit.support) == problem.width:
        return ()
    found = []
    for i, neuron in enumerate(fit.support.tolist()):
        if not set(equal_neurons(problem, neuron).tolist()) <= set(fit.support.tolist()):
            found.append(neuron)
            continue
        coef, intercept = np.where(np.arange(len(fit.coef)) == i, 0.0, fit.coef), fit.intercept
        if problem.loss == "hinge":
            intercept = equally_good_intercepts(problem, coef @ problem.columns[fit.support].astype(np.float64))[0]
        if objective_of(problem, fit.support, coef, intercept) <= fit.objective * (1 + LARGEST_CHANGE):
            found.append(neuron)
    return as_support(found)
