"""Choose C on validation folds of the training rows; the test rows are not used."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sparse_probing.config import ProbingConfig
from sparse_probing.probes.inputs.validation import Floats
from sparse_probing.probes.l2.choose_C import (
    ALPHA_GRID,
    C_GRID,
    TOO_FEW_GROUPS,
    balanced_log_loss,
    one_vs_rest_log_loss,
    squared_error,
)
from sparse_probing.probes.splits.grouped_split import Split
from sparse_probing.probes.splits.validation_folds import validation_folds
from sparse_probing.studies.base.feature_data import FeatureData, SelectedNeurons

LOSSES = {"binary": balanced_log_loss, "multiclass": one_vs_rest_log_loss, "regression": squared_error}
"""What the choice minimises, by kind of feature."""

HeldOut = Callable[[NDArray, Floats, Sequence[Split], Sequence[float]], Floats]
"""From activations (n, p), labels (n,), folds and values of C in increasing order to held-out scores
(n_Cs, n, m), or (n_Cs, n, m, K) of K classes."""


@dataclass(frozen=True)
class ChosenC:
    """C for each of m probes."""

    values: list[float]
    remark: str = ""
    """A sentence for the status of the probes; empty where there is nothing to add."""
    losses: Floats | None = None
    """(m,) validation loss at the values; None where C was not chosen."""

    def status(self, status: str) -> str:
        """Return the status of a fit with the remark."""
        return f"{status} {self.remark}".rstrip()


def choose_regularization(
    config: ProbingConfig, data: FeatureData, neurons: SelectedNeurons, held_out: HeldOut, n_probes: int = 1
) -> ChosenC:
    """Return C for each of ``n_probes`` probes on the same neurons.

    C is that of the configuration or, where it has none, the value of a grid with the lowest class-balanced
    log loss on validation folds with whole groups (of regression: the lowest squared error); of equal
    ones the smallest, whose ridge is strongest. Where a class has too few groups for the folds, there are
    fewer of them; where not even two exist, C is 1. Neurons were ranked on all training rows, so the loss is
    a fair choice between values of C but too low as an estimate.
    """
    if config.fit.regularization is not None:
        return ChosenC([config.fit.regularization] * n_probes)
    is_regression = data.kind == "regression"
    x, y = neurons.x_train, neurons.y_train
    folds = validation_folds(
        None if is_regression else y, data.train.group, config.split.tuning_folds, config.activations.seed
    )
    if not folds:
        return ChosenC([1.0] * n_probes, TOO_FEW_GROUPS)
    default = tuple(1 / alpha for alpha in ALPHA_GRID) if is_regression else C_GRID
    grid = sorted(config.fit.regularization_grid or default)
    losses = LOSSES[data.kind](y, held_out(x, y, folds, grid))
    best = losses.argmin(axis=0)
    return ChosenC([grid[i] for i in best], losses=np.take_along_axis(losses, best[None], axis=0)[0])
