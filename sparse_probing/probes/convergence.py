"""When a fit counts as converged, and what every linear fit holds."""

from __future__ import annotations

from typing import Protocol

from sparse_probing.probes.validation import Floats

CONVERGED_BELOW = 1e-6
"""A fit whose decrement is below this is called converged."""
TOLERANCE = 1e-12
"""Decrement at which a fit stops."""

CONVERGED = "Converged."
NOT_CONVERGED = "The maximum number of steps was reached; raise max_iter or scale the activations."


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
