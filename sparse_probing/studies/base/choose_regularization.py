"""Choose C on validation folds of the training rows; the test rows are not used."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from numpy.typing import NDArray

from sparse_probing.config import ProbingConfig
from sparse_probing.probes.inputs.validation import Floats, check_activations
from sparse_probing.probes.l2.choose_C import (
    ALPHA_GRID,
    C_GRID,
    TOO_FEW_GROUPS,
    best_alpha,
    best_C,
)
from sparse_probing.probes.splits.grouped_split import Split
from sparse_probing.probes.splits.validation_folds import validation_folds
from sparse_probing.studies.base.feature_data import FeatureData, SelectedNeurons

HeldOut = Callable[[NDArray, Floats, Sequence[Split], Sequence[float]], Floats]
"""From activations (n, p), labels (n,), folds and values of C in increasing order to held-out scores
(n_Cs, n, m), or (n_Cs, n, m, K) of K classes."""


@dataclass(frozen=True)
class ChosenC:
    """C for each of m probes."""

    values: list[float]
    remark: str = ""
    """A sentence for the status of the probes; empty where there is nothing to add."""

    def status(self, status: str) -> str:
        """Return the status of a fit with the remark."""
        return f"{status} {self.remark}".rstrip()


def choose_regularization(
    config: ProbingConfig, data: FeatureData, neurons: SelectedNeurons, held_out: HeldOut, n_probes: int = 1
) -> ChosenC:
    """Return C for each of ``n_probes`` probes on the same neurons.

    C is that of the configuration or, where it has none, the value of a grid with the largest ROC-AUC on
    validation folds with whole groups (:func:`sparse_probing.probes.l2.choose_C.best_C`; of regression: the
    lowest squared error). Where a class has too few groups for the folds, there are fewer of them; where not
    even two exist, C is 1. Neurons were ranked on all training rows, so the validation scores are a fair choice
    between values of C but too high as an estimate.

    Raises
    ------
    ProbeError
        When an activation of the training rows is not finite.
    """
    if config.fit.regularization is not None:
        return ChosenC([config.fit.regularization] * n_probes)
    is_regression = data.kind == "regression"
    x, y = check_activations(neurons.x_train), neurons.y_train
    folds = validation_folds(
        None if is_regression else y, data.train.group, config.split.tuning_folds, config.activations.seed
    )
    if not folds:
        return ChosenC([1.0] * n_probes, TOO_FEW_GROUPS)
    default = tuple(1 / alpha for alpha in ALPHA_GRID) if is_regression else C_GRID
    grid = sorted(config.fit.regularization_grid or default)
    best = (best_alpha if is_regression else best_C)(y, held_out(x, y, folds, grid), folds)
    return ChosenC([grid[i] for i in best])
