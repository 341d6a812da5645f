"""Fits along a path of penalty strengths, each started from the one before, and their results."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from probing_datasets.foundation.errors import ProbeError
from sparse_probing.probes.convergence import is_converged, status_of
from sparse_probing.probes.inputs.scaling import ScaledColumns
from sparse_probing.probes.inputs.validation import Floats, Integers
from sparse_probing.probes.l1.equal_neurons import on_lowest_neurons
from sparse_probing.probes.l1.losses import LogisticLoss, Loss
from sparse_probing.probes.l1.proximal_newton import Penalty, minimise, null_point

STRIDE = 10.0
"""Largest ratio of two strengths of a step; longer steps are divided, because a distant start may stall."""
WAYPOINT_TOLERANCE = 1e-2
"""Relative duality gap at which a fit between two strengths of the path stops."""

NOT_CONVERGED = "The duality gap is above 1e-6; raise max_iter, lower the tolerance, or fit a denser path."


@dataclass(frozen=True)
class SparseFit:
    """A probe of a path and how near its objective is to the minimum."""

    strength: float
    """C of a logistic path, alpha of a regression path."""
    support: Integers
    """(k,) neurons, increasing."""
    coef: Floats
    """(k,), of the stored activations."""
    intercept: float
    objective: float
    gap: float
    """Duality gap over the objective: an upper bound of the relative distance to the minimum."""
    iterations: int
    """Proximal Newton steps at this strength."""
    status: str

    @property
    def density(self) -> int:
        """Number of neurons."""
        return len(self.support)

    @property
    def converged(self) -> bool:
        """Whether the gap is at most 1e-6."""
        return is_converged(self.gap)


@dataclass(frozen=True)
class SparsePath:
    """Probes from the strongest penalty to the weakest."""

    null_strength: float
    """Largest C, or smallest alpha, at which all coefficients are zero."""
    fits: tuple[SparseFit, ...]

    def scores(self, X: ArrayLike) -> Floats:
        """Return the decision values (n, number of fits) of activations (n, d)."""
        activations = np.asarray(X)
        return np.stack([activations[:, fit.support] @ fit.coef + fit.intercept for fit in self.fits], axis=1)


Objective = Callable[[float], tuple[Loss, Penalty]]
"""From a strength to the loss and the penalty of its fit."""


def follow_path(
    columns: ScaledColumns,
    null_strength: float,
    strengths: Sequence[float],
    objective: Objective,
    max_support: int | None,
    tolerance: float,
    max_iter: int,
) -> Iterator[SparseFit]:
    """Yield one fit per strength until one has more than ``max_support`` neurons.

    Parameters
    ----------
    columns : ScaledColumns
    null_strength : float
        The strength at which the first neuron enters.
    strengths : sequence of float
        From the strongest penalty to the weakest.
    objective : callable
        From a strength to its loss and penalty.
    max_support : int or None
    tolerance : float
        Relative duality gap at which a fit stops.
    max_iter : int
        Proximal Newton steps per fit.

    Raises
    ------
    ProbeError
        If the first fit has more than ``max_support`` neurons.
    """
    point, reached = null_point(objective(strengths[0])[0]), null_strength
    for strength in strengths:
        # Divide a long way into equal steps of its logarithm, solved roughly.
        n_steps = max(int(np.ceil(abs(np.log(strength / reached)) / np.log(STRIDE))), 1)
        for waypoint in np.geomspace(reached, strength, n_steps + 1)[1:-1]:
            point = minimise(columns, *objective(waypoint), point, WAYPOINT_TOLERANCE, max_iter)
        loss, penalty = objective(strength)
        point, reached = minimise(columns, loss, penalty, point, tolerance, max_iter), strength
        if penalty.l2 == 0:
            point = on_lowest_neurons(columns, point, penalty.l1)
        if max_support is not None and len(point.support) > max_support:
            if strength == strengths[0]:
                raise ProbeError(
                    f"The first probe of the path has {len(point.support)} neurons, more than max_support = "
                    f"{max_support}. Start with a stronger penalty."
                )
            return
        separated = False
        if isinstance(loss, LogisticLoss):
            scores = point.intercept + point.coef @ columns.take(point.support)
            separated = bool((loss.y * scores > 0).all())
        coef, intercept = columns.undo(point.support, point.coef, point.intercept)
        yield SparseFit(
            strength=strength,
            support=point.support,
            coef=coef,
            intercept=intercept,
            objective=point.objective,
            gap=point.gap,
            iterations=point.steps,
            status=status_of(point.gap, NOT_CONVERGED, separated),
        )
