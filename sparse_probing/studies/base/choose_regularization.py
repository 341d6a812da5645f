"""C chosen on validation folds of the training rows; the test rows are not looked at."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from sparse_probing.config import ProbingConfig
from sparse_probing.probes.splits.grouped_folds import grouped_folds
from sparse_probing.probes.splits.grouped_split import Split
from sparse_probing.probes.validation import Floats
from sparse_probing.studies.base.problem import Columns, Problem

Scorer = Callable[[NDArray], Floats]
"""From activations (n, p) to decision values (n, m)."""
FitWithC = Callable[[NDArray, Floats, float], Scorer]


def choose_regularization(
    config: ProbingConfig, problem: Problem, data: Columns, fit: FitWithC, n_probes: int = 1
) -> list[float]:
    """Return C for each of ``n_probes`` probes on the same neurons.

    That of the configuration, or of its grid the one with the lowest class-balanced log loss on
    validation folds with whole groups; of equal ones the smallest, whose ridge is strongest.
    Neurons were ranked on all training rows, so the loss is a fair choice between values of C but
    too low as an estimate.

    Raises
    ------
    SplitError
        When the training rows have fewer groups of a class than folds.
    """
    grid = sorted(config.fit.regularization_grid)
    if not grid:
        return [config.fit.regularization] * n_probes
    folds = grouped_folds(data.y_train, problem.train.group, config.split.tuning_folds, config.activations.seed)
    losses = np.array([sum(_validation_loss(data, fold, fit, C) for fold in folds) for C in grid])
    return [grid[i] for i in losses.argmin(axis=0)]


def _validation_loss(data: Columns, fold: Split, fit: FitWithC, C: float) -> Floats:
    x, y = data.x_train, data.y_train
    score = fit(x[fold.train], y[fold.train], C)
    losses = np.logaddexp(0, -y[fold.test, None] * score(x[fold.test]))
    return losses[y[fold.test] > 0].mean(axis=0) + losses[y[fold.test] < 0].mean(axis=0)
