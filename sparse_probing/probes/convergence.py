"""When a fit counts as converged, the sentence that reports it, and the fields of every linear fit."""

from __future__ import annotations

from typing import Protocol, overload

from sparse_probing.probes.inputs.validation import Booleans, Floats

CONVERGED_BELOW = 1e-6
"""A fit is converged when its relative gap to the minimum (Newton decrement or duality gap) is at most this."""
TOLERANCE = 1e-12
"""Newton decrement at which the logistic fits stop."""

CONVERGED = "Converged."
SEPARATED = "Converged. The probe separates the classes; only the penalty keeps its coefficients finite."
NOT_CONVERGED = "The maximum number of steps was reached; raise max_iter or scale the activations."


@overload
def is_converged(gap: float) -> bool: ...
@overload
def is_converged(gap: Floats) -> Booleans: ...
def is_converged(gap: float | Floats) -> bool | Booleans:
    """Return whether a fit with this relative gap to its minimum, or each of several fits, counts as converged."""
    return gap <= CONVERGED_BELOW


def status_of(gap: float, not_converged: str = NOT_CONVERGED, separated: bool = False) -> str:
    """Return the sentence that reports how a fit ended.

    Parameters
    ----------
    gap : float
        Newton decrement or duality gap over the objective.
    not_converged : str
        The sentence of a fit that has not converged: what happened and what to do.
    separated : bool
        Whether the probe separates the classes.
    """
    if not is_converged(gap):
        return not_converged
    return SEPARATED if separated else CONVERGED


class LinearFit(Protocol):
    """A fit that is a linear function of some neurons."""

    @property
    def coef(self) -> Floats:
        """(k,)."""
        ...

    @property
    def intercept(self) -> float:
        """Not penalised."""
        ...
