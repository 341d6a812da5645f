"""Searches for optimal supports that may take longer than a job."""

from __future__ import annotations

import logging
import math

from sparse_probing.config import ProbingConfig
from sparse_probing.studies import STUDIES

logger = logging.getLogger(__name__)

MINUTES_BESIDE_SEARCHES = 2
"""For the start of a job, its layer, and the signal before its time limit."""


def warn_of_long_searches(config: ProbingConfig) -> None:
    """Warn when the searches of one feature may take longer than ``--time``.

    An unfinished feature starts again after the time limit of its job, because only whole features are kept.
    """
    counted = [(count(config), name) for name in config.experiment_type if (count := STUDIES[name].n_searches)]
    longest = max(counted, default=None)
    if longest is None:
        return
    n_searches, name = longest
    minutes, seconds = config.slurm.time, config.optimal.osp_timeout
    needed = n_searches * seconds / 60 + MINUTES_BESIDE_SEARCHES
    if needed > minutes:
        shorter = math.floor(max(minutes - MINUTES_BESIDE_SEARCHES, 0) * 60 / n_searches)
        logger.warning(
            "One feature of %s may take %d searches of --osp_timeout %g, %s minutes in all, and a job has --time %d. "
            "A feature that takes longer than a job is started once more and then fails: set --time %d or more%s.",
            name,
            n_searches,
            seconds,
            f"{math.ceil(needed - MINUTES_BESIDE_SEARCHES):,}",
            minutes,
            math.ceil(needed),
            f", or --osp_timeout {shorter} or less" if shorter else "",
        )
