"""Choose C on validation folds of the training rows; the test rows are not used."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from sparse_probing.config import ProbingConfig
from sparse_probing.probes.inputs.validation import Floats
from sparse_probing.probes.splits.grouped_folds import grouped_folds
from sparse_probing.studies.base.feature_data import FeatureData, SelectedNeurons

Scorer = Callable[[NDArray], Floats]
"""From activations (n, p) to decision values (n, m)."""
FitWithC = Callable[[NDArray, Floats, float], Scorer]
"""From activations (n, p), labels (n,) and C to the scorer of the fitted probes."""


def choose_regularization(
    config: ProbingConfig, data: FeatureData, neurons: SelectedNeurons, fit: FitWithC, n_probes: int = 1
) -> list[float]:
    """Return C for each of ``n_probes`` probes on the same neurons.

    C is that of the configuration or, where it has a grid, the value with the lowest class-balanced log
    loss on validation folds with whole groups; of equal ones the smallest, whose ridge is strongest.
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
    x, y = neurons.x_train, neurons.y_train
    folds = grouped_folds(y, data.train.group, config.split.tuning_folds, config.activations.seed)
    losses = np.zeros((len(grid), n_probes))
    for i, C in enumerate(grid):
        for fold in folds:
            score = fit(x[fold.train], y[fold.train], C)
            loss = np.logaddexp(0, -y[fold.test, None] * score(x[fold.test]))
            losses[i] += loss[y[fold.test] > 0].mean(axis=0) + loss[y[fold.test] < 0].mean(axis=0)
    return [grid[i] for i in losses.argmin(axis=0)]
