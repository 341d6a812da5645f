"""Fits along a path of strengths, each from where the last one ended, and what is reported of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from probing_datasets.foundation.errors import ProbeError
from sparse_probing.probes.convergence import CONVERGED, CONVERGED_BELOW
from sparse_probing.probes.l1.losses import LogisticLoss, Loss
from sparse_probing.probes.l1.proximal_newton import Penalty, SparsePoint, minimise, null_point
from sparse_probing.probes.scaling import Columns
from sparse_probing.probes.validation import Floats, Integers

STRIDE = 10.0
"""Largest step between strengths; longer ones are divided, because a start from afar may stall."""
WAYPOINT_TOLERANCE = 1e-2

NOT_CONVERGED = "The duality gap is above the tolerance; raise max_iter or the tolerance, or ask for a denser path."
SEPARATED = "Converged. The probe separates the classes; the penalty alone keeps its coefficients finite."


@dataclass(frozen=True)
class SparseFit:
    """A probe of a path and how well it was fitted."""

    strength: float
    """C of a logistic path, alpha of a regression path."""
    support: Integers
    """(k,) neurons, increasing."""
    coef: Floats
    """(k,), of the activations as they are stored."""
    intercept: float
    objective: float
    gap: float
    """Duality gap over the objective: how far it is at most, relatively, above its minimum."""
    iterations: int
    """Proximal Newton steps at this strength."""
    status: str

    @property
    def density(self) -> int:
        """Number of neurons."""
        return len(self.support)

    @property
    def converged(self) -> bool:
        """Whether the gap is below 1e-6."""
        return self.gap <= CONVERGED_BELOW


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


Problem = Callable[[float], tuple[Loss, Penalty]]
"""The loss and the penalty of a strength."""


def follow_path(
    columns: Columns,
    null_strength: float,
    strengths: Sequence[float],
    problem: Problem,
    max_support: int | None,
    tolerance: float,
    max_iter: int,
) -> Iterator[SparseFit]:
    """Yield one fit per strength until one has more than ``max_support`` neurons.

    Raises
    ------
    ProbeError
        If the first has.
    """
    point, reached = null_point(problem(strengths[0])[0]), null_strength
    for strength in strengths:
        for waypoint in _waypoints(reached, strength):
            point = minimise(columns, *problem(waypoint), point, WAYPOINT_TOLERANCE, max_iter)
        loss, penalty = problem(strength)
        point, reached = minimise(columns, loss, penalty, point, tolerance, max_iter), strength
        if max_support is not None and len(point.support) > max_support:
            if strength == strengths[0]:
                raise ProbeError(
                    f"The first probe of the path has {len(point.support)} neurons, more than max_support = "
                    f"{max_support}. Begin with a stronger penalty."
                )
            return
        yield _on_stored_scale(point, strength, columns, loss, tolerance)


def _waypoints(start: float, end: float) -> Floats:
    """Return strengths between two that are far apart, in equal steps of their logarithm."""
    n_steps = int(np.ceil(abs(np.log(end / start)) / np.log(STRIDE)))
    return np.geomspace(start, end, max(n_steps, 1) + 1)[1:-1]


def _on_stored_scale(point: SparsePoint, strength: float, columns: Columns, loss: Loss, tolerance: float) -> SparseFit:
    """Return the fit with coefficients of the activations as they are stored."""
    coef = point.coef / columns.scale[point.support]
    return SparseFit(
        strength=strength,
        support=point.support,
        coef=coef,
        intercept=float(point.intercept - coef @ columns.mean[point.support]),
        objective=point.objective,
        gap=point.gap,
        iterations=point.steps,
        status=_status(point, columns, loss, tolerance),
    )


def _status(point: SparsePoint, columns: Columns, loss: Loss, tolerance: float) -> str:
    if point.gap > tolerance:
        return NOT_CONVERGED
    scores = point.intercept + point.coef @ columns.take(point.support)
    if isinstance(loss, LogisticLoss) and (loss.y * scores > 0).all():
        return SEPARATED
    return CONVERGED
