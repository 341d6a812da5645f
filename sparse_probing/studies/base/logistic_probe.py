"""From a logistic fit to the row of a probe."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sparse_probing.probes.l2.logistic import LogisticFit
from sparse_probing.results import FittedProbe
from sparse_probing.studies.base.problem import Columns


def logistic_probe(
    data: Columns, within: Any, fit: LogisticFit, metrics: Mapping[str, float], ranking: str = "", **further: Any
) -> FittedProbe:
    """Return the probe of a logistic fit to the columns ``within`` of ``data``; ``further`` are columns of its row."""
    rank = int(bool(ranking) and len(fit.coef) == 1)
    return data.probe("logistic", within, fit, metrics, ranking, rank, newton_decrement=fit.decrement, **further)
