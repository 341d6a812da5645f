"""Probes that choose their own neurons: an L1 penalty, from a strong one with few neurons to ever weaker ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from probing_datasets.foundation.errors import ProbeError
from sparse_probing.config import ProbingConfig
from sparse_probing.probes.inputs.validation import Floats
from sparse_probing.probes.l1.l1_path import fit_l1_path, fit_lasso_path
from sparse_probing.probes.l1.path_following import SparsePath
from sparse_probing.probes.l2.choose_C import balanced_log_loss, squared_error
from sparse_probing.probes.splits.validation_folds import validation_folds
from sparse_probing.studies.base.feature_data import FeatureData, Metrics, SelectedNeurons
from sparse_probing.studies.base.metrics import classification, regression
from sparse_probing.studies.base.result_rows import FittedProbe

TOLERANCE_OF_FOLDS = 1e-3
"""Relative duality gap of the fits of a fold, which only choose."""


def fit(config: ProbingConfig, data: FeatureData) -> list[FittedProbe]:
    """Fit logistic probes along a path of C, up to ``max_k`` neurons.

    The probe that is ``chosen`` has the lowest class-balanced log loss on validation folds of the training rows.
    """
    neurons, l1_ratio = data.select(), config.fit.l1_ratio
    path = fit_l1_path(neurons.x_train, neurons.y_train, max_support=config.search.max_k, l1_ratio=l1_ratio)

    def refit(x: NDArray, y: Floats) -> SparsePath:
        # The loss is a sum: with fewer rows the same balance of loss and penalty needs a larger C.
        Cs = [fit.strength * len(neurons.y_train) / len(y) for fit in path.fits]
        return fit_l1_path(x, y, Cs, l1_ratio=l1_ratio, tolerance=TOLERANCE_OF_FOLDS)

    losses, remark = _validation_losses(config, data, neurons, path, refit)
    choices = [{}] * len(path.fits)
    if losses is not None:
        choices = [{"validation_log_loss": loss, "chosen": i == losses.argmin()} for i, loss in enumerate(losses)]
    return _probes(neurons, path, "l1_logistic", classification(neurons.y_train), l1_ratio, choices, remark)


def fit_regression(config: ProbingConfig, data: FeatureData) -> list[FittedProbe]:
    """Fit least-squares probes along a path of alpha, up to ``max_k`` neurons; C is 1 / alpha.

    The probe that is ``chosen`` has the lowest squared error on validation folds of the training rows.
    """
    neurons, l1_ratio = data.select(), config.fit.l1_ratio
    path = fit_lasso_path(neurons.x_train, neurons.y_train, max_support=config.search.max_k, l1_ratio=l1_ratio)

    def refit(x: NDArray, y: Floats) -> SparsePath:
        alphas = [fit.strength for fit in path.fits]
        return fit_lasso_path(x, y, alphas, l1_ratio=l1_ratio, tolerance=TOLERANCE_OF_FOLDS)

    losses, remark = _validation_losses(config, data, neurons, path, refit)
    choices = [{}] * len(path.fits)
    if losses is not None:
        r2 = 1 - losses / neurons.y_train.var()
        choices = [{"validation_r2": r2[i], "chosen": i == losses.argmin()} for i in range(len(losses))]
    return _probes(neurons, path, "lasso", regression, l1_ratio, choices, remark)


def _validation_losses(
    config: ProbingConfig,
    data: FeatureData,
    neurons: SelectedNeurons,
    path: SparsePath,
    refit: Callable[[NDArray, Floats], SparsePath],
) -> tuple[Floats | None, str]:
    """Return the loss of held-out rows (n_fits,) at every strength, or None with the reason in a sentence.

    One path for each fold of the training rows, at the strengths of the path of all of them. Neurons are scaled by the
    rows of the fold, and groups stay whole.
    """
    is_regression, y = data.kind == "regression", neurons.y_train
    labels = None if is_regression else y
    folds = validation_folds(labels, data.train.group, config.split.tuning_folds, config.activations.seed)
    if not folds:
        return None, "No probe is chosen, because two folds of the training rows with every class do not exist."
    scores = np.empty((len(path.fits), len(y), 1))
    try:
        for fold in folds:
            scores[:, fold.test, 0] = (
                refit(neurons.x_train[fold.train], y[fold.train]).scores(neurons.x_train[fold.test]).T
            )
    except ProbeError as error:
        return None, f"No probe is chosen: {error}"
    loss = squared_error if is_regression else balanced_log_loss
    return loss(y, scores)[:, 0], ""


def _probes(
    neurons: SelectedNeurons,
    path: SparsePath,
    name: str,
    measure: Metrics,
    l1_ratio: float,
    choices: list[dict[str, Any]],
    remark: str,
) -> list[FittedProbe]:
    metrics = neurons.metrics(path.scores, measure)
    return [
        neurons.probe(
            name,
            fit.support,
            replace(fit, status=f"{fit.status} {remark}".rstrip()),
            metrics[i],
            scaling="unit",  # by the fit itself
            duality_gap=fit.gap,
            regularization=fit.strength if name == "l1_logistic" else 1 / fit.strength,
            l1_ratio=l1_ratio,
            density=len(fit.support) / len(neurons.indices),
            **{key: value.item() for key, value in choices[i].items()},
        )
        for i, fit in enumerate(path.fits)
    ]
