"""From a logistic fit to the row of a probe."""

from __future__ import annotations

import numpy as np

from experiments.probes.logistic import LogisticFit
from experiments.results import FittedProbe


def fitted_probe(
    probe: str, ranking: str, support: np.ndarray, fit: LogisticFit, metrics: dict[str, float]
) -> FittedProbe:
    """Return the probe that a fit on the columns ``support`` gives."""
    return FittedProbe(
        probe=probe,
        ranking=ranking,
        support=support,
        coef=fit.coef,
        intercept=fit.intercept,
        objective=fit.objective,
        newton_decrement=fit.decrement,
        iterations=fit.iterations,
        converged=fit.converged,
        status=fit.status,
        rank=1 if ranking and len(support) == 1 else 0,
        metrics=metrics,
    )
