"""The probes of one feature at one layer: fitted to training rows, chosen on validation rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sparse_probing.config import ProbingConfig
from sparse_probing.probes.convergence import is_converged, status_of
from sparse_probing.probes.inputs.validation import Floats, Integers
from sparse_probing.probes.metrics.temperature import confidences, fit_temperature, log_loss
from sparse_probing.probes.one_vs_rest.closed_form import SHRINKAGES, lda, mass_mean
from sparse_probing.probes.one_vs_rest.converged import fit_one_vs_rest
from sparse_probing.studies.reading.three_parts import ReadingData

C_GRID = tuple(float(C) for C in np.logspace(-6, 0, 13))
"""Values of C: for thousands of standardised neurons the best is often below the smallest of other studies."""
ONE_VS_REST, ADAM = "one_vs_rest", "one_vs_rest_adam"
AT_BEST_EPOCH = (
    "Trained for {epochs} epochs; these are the coefficients after epoch {epoch}. Their objective is {best:.2%} above "
    "its minimum; after the last epoch it was {last:.2%} above."
)

CLOSED_FORMS = ("mass_mean", "lda")
"""Probes that are fitted beside that of the solver."""


@dataclass(frozen=True)
class Candidate:
    """A probe of the scaled neurons, and what its fit reports."""

    name: str
    coef: Floats
    """(K, width), of a binary feature (1, width)."""
    intercept: Floats
    """(K,)"""
    status: str
    objective: float = float("nan")
    iterations: int = 0
    converged: bool = True
    further: Mapping[str, Any] = field(default_factory=dict)


def converged(config: ProbingConfig, reading: ReadingData) -> Candidate:
    """Fit the optimum for every C, and take the C with the lowest validation log loss after its own temperature.

    Unlike accuracy the loss is smooth in C, and unlike the loss before a temperature it does not prefer a strong ridge
    only because a weak one is overconfident.
    """
    given = config.fit.regularization
    grid = (given,) if given is not None else tuple(sorted(config.fit.regularization_grid or C_GRID))
    targets, codes = reading.targets(reading.train), reading.validation.codes
    path = fit_one_vs_rest(reading.train.x, targets, grid)
    scores = path.scores(reading.validation.x)
    losses = [log_loss(of_C, codes, fit_temperature(of_C, codes)) for of_C in scores]
    best = int(np.argmin(losses))
    # The loss of rows is what is left of the objective without the ridge.
    squares = np.square(path.coef).sum(axis=2) / 2
    train_losses = (path.objective - squares).mean(axis=1) / np.asarray(grid) / len(targets)
    gap = float(path.gap[best].max())
    status = status_of(gap)
    if len(grid) > 1 and best in (0, len(grid) - 1):
        status += f" The best C is at the end of the grid, {grid[best]:g}."
    return Candidate(
        ONE_VS_REST,
        path.coef[best],
        path.intercept[best],
        status,
        float(path.objective[best].sum()),
        int(path.iterations[best].max()),
        is_converged(gap),
        {
            "duality_gap": gap,
            "regularization": grid[best],
            "curve_regularization": list(grid),
            "curve_train_loss": train_losses,
            "curve_train_accuracy": [accuracy(of_C, reading.train.codes) for of_C in path.scores(reading.train.x)],
            "curve_validation_accuracy": [accuracy(of_C, codes) for of_C in scores],
            "curve_validation_log_loss": losses,
            "curve_gap": path.gap.max(axis=1),
        },
    )


def by_adam(config: ProbingConfig, reading: ReadingData) -> Candidate:
    """Train by Adam, and take the epoch of the highest validation accuracy.

    Objective, gap and status are those of that epoch; the status also says how far above its minimum the objective was
    after the last one.
    """
    from sparse_probing.probes.one_vs_rest.adam import AdamSettings, train_adam  # here: it imports torch

    epochs = config.reading.epochs
    settings = AdamSettings(epochs=epochs, early_stopping=config.reading.early_stopping, validate_every=min(10, epochs))
    train, validation = reading.train, reading.validation
    targets = reading.targets(train)
    (probe,) = train_adam([train.x], targets, [validation.x], reading.targets(validation), settings)
    C = 1 / (settings.weight_decay * targets.size)
    optimum = fit_one_vs_rest(train.x, targets, [C])
    minimum = float(optimum.objective.sum()) * settings.weight_decay

    def objective(coef: Floats, intercept: Floats) -> float:
        margins = np.where(targets, 1.0, -1.0) * (train.x.astype(np.float64) @ coef.T + intercept)
        return float(np.logaddexp(0, -margins).mean() + settings.weight_decay / 2 * np.square(coef).sum())

    best, last = objective(probe.coef, probe.intercept), objective(probe.last_coef, probe.last_intercept)
    # The minimum is known up to the certified gap of the fit that reached it.
    lower_bound = minimum * (1 - float(optimum.gap.max()))
    status = AT_BEST_EPOCH.format(
        epochs=len(probe.epochs), epoch=probe.best_epoch, best=best / minimum - 1, last=last / minimum - 1
    )
    return Candidate(
        ADAM,
        probe.coef,
        probe.intercept,
        status,
        best / settings.weight_decay,
        len(probe.epochs),
        is_converged(1 - lower_bound / best),
        {
            "excess_over_optimum": last / minimum - 1,
            "duality_gap": 1 - lower_bound / best,
            "regularization": C,
            "last_coef": probe.last_coef,
            "last_intercepts": probe.last_intercept,
            "curve_epoch": [epoch.epoch for epoch in probe.epochs],
            "curve_train_loss": [epoch.train_loss for epoch in probe.epochs],
            "curve_train_accuracy": [epoch.train_accuracy for epoch in probe.epochs],
            "curve_validation_accuracy": [epoch.validation_accuracy for epoch in probe.epochs],
            "curve_gap": [None if e.objective is None else e.objective / minimum - 1 for e in probe.epochs],
            "curve_learning_rate": [epoch.learning_rate for epoch in probe.epochs],
        },
    )


def closed_forms(reading: ReadingData) -> list[Candidate]:
    """Return the nearest class mean, and the linear discriminant whose shrinkage has the lowest validation log loss."""
    train, codes = reading.train, reading.validation.codes
    coef, intercept = lda(train.x, train.codes)
    scores = [reading.validation.x @ c.T + b for c, b in zip(coef, intercept, strict=True)]
    best = int(np.argmin([log_loss(each, codes, fit_temperature(each, codes)) for each in scores]))
    exact = {"duality_gap": 0.0}
    shrunk = f"Closed form, with a shrinkage of {SHRINKAGES[best]:g}."
    return [
        Candidate("mass_mean", *mass_mean(train.x, train.codes), "Closed form.", further=exact),
        Candidate("lda", coef[best], intercept[best], shrunk, further=exact),
    ]


def accuracy(scores: Floats, codes: Integers) -> float:
    """Return the share of rows whose class has the highest score; of one class, whose score has its sign."""
    return float((confidences(scores, None)[0] == codes).mean())
