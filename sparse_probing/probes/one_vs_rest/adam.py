"""One-vs-rest probes by Adam: a fixed number of epochs of batches, as reading probes are usually trained.

The loss of a batch is the binary cross-entropy of sigmoid outputs, averaged over its rows and classes. Weight decay is
in the gradient, as in ``torch.optim.Adam``, so training descends

    ``mean over rows and classes of the loss + weight_decay / 2 |W|^2``,

which is the objective of :mod:`sparse_probing.probes.one_vs_rest.converged` with ``C = 1 / (weight_decay n K)``,
multiplied by the weight decay. The two therefore have one minimum, and the distance from it can be measured.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from probing_datasets.foundation.errors import ProbeError
from sparse_probing.probes.inputs.validation import Floats, check_C
from sparse_probing.probes.one_vs_rest.batched_adam import BatchedAdam, hits_of, mean_loss
from sparse_probing.probes.one_vs_rest.converged import check_targets

PLATEAU = 1e-4
"""Share by which the loss of an epoch must fall below the best one, or the learning rate is reduced."""
LEAST_CHANGE = 1e-8
"""Smallest change of a learning rate."""


@dataclass(frozen=True)
class AdamSettings:
    """How probes are trained; the defaults are those of the training report that the study reproduces."""

    epochs: int = 50
    batch_rows: int = 200
    learning_rate: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.95)
    epsilon: float = 1e-8
    weight_decay: float = 0.1
    """Of the weights; intercepts have none."""
    factor: float = 0.75
    """What the learning rate is multiplied by after an epoch whose loss is not below the best."""
    validate_every: int = 10
    """Epochs between two validations, and before the first."""
    early_stopping: int = 0
    """Validations without a better accuracy after which training ends; 0: it never ends early."""
    deviation: float = 0.02
    """Of the first weights."""
    seed: int = 12345
    """Of the first weights and of the order of the rows."""


@dataclass(frozen=True)
class Epoch:
    """One epoch of one layer."""

    epoch: int
    """From 1."""
    train_loss: float
    """Mean over the batches, each before its step."""
    train_accuracy: float
    """Over the batches, each before its step."""
    learning_rate: float
    """During the epoch."""
    validation_accuracy: float | None = None
    """None where the epoch was not validated."""
    is_best: bool = False
    """Whether it is above that of all epochs before."""
    objective: float | None = None
    """Of all training rows after the epoch; None where the epoch was not validated."""


@dataclass(frozen=True)
class AdamProbe:
    """The probes of one layer."""

    coef: Floats
    """(K, d) at the validated epoch of the highest accuracy, the first of equal ones."""
    intercept: Floats
    """(K,)"""
    last_coef: Floats
    """(K, d) after the last epoch."""
    last_intercept: Floats
    """(K,)"""
    best_epoch: int
    epochs: tuple[Epoch, ...]


def train_adam(
    layers: Sequence[NDArray] | NDArray,
    targets: ArrayLike,
    validation_layers: Sequence[NDArray] | NDArray,
    validation_targets: ArrayLike,
    settings: AdamSettings = AdamSettings(),  # noqa: B008 (frozen)
    layers_at_once: int = 1,
    device: str = "cpu",
) -> list[AdamProbe]:
    """Train the probes of every layer.

    Parameters
    ----------
    layers : (L, n, d) array, or sequence of (n, d) arrays
        Activations of the training rows.
    targets : (n, K) array of bool
        Whether a row has a class.
    validation_layers : (L, m, d) array, or sequence of (m, d) arrays
    validation_targets : (m, K) array of bool
    settings : AdamSettings
    layers_at_once : int
        Layers of one batched product. Several pay on a GPU; on a CPU one layer at a time is faster. The result is
        the same, up to the rounding of sums.
    device : str
        Where torch computes.

    Returns
    -------
    list of AdamProbe
        One for each layer.

    Raises
    ------
    ProbeError
        If the shapes do not fit, all rows or no rows have a class, or a setting is outside its range.
    """
    if not 1 <= settings.validate_every <= settings.epochs or min(settings.batch_rows, layers_at_once) < 1:
        raise ProbeError(
            f"{settings.epochs} epochs with a validation every {settings.validate_every}, batches of "
            f"{settings.batch_rows} rows and {layers_at_once} layers at once cannot be trained. Each must be at least "
            "1, and the first validation within the epochs."
        )
    check_C(settings.weight_decay)
    is_class = check_targets(targets, len(layers[0]))
    probes = []
    for first in range(0, len(layers), layers_at_once):
        chosen = slice(first, first + layers_at_once)
        x, held_out = (
            torch.from_numpy(np.stack([np.asarray(layer, np.float32) for layer in part[chosen]])).to(device)
            for part in (layers, validation_layers)
        )
        t, held_out_t = (
            torch.from_numpy(np.asarray(part, np.float32)).to(device) for part in (is_class, validation_targets)
        )
        probes += _train(x, t, held_out, held_out_t, settings)
    return probes


class _Progress:
    """What is recorded of one layer while it is trained."""

    def __init__(self) -> None:
        self.epochs: list[Epoch] = []
        self.best: tuple[Floats, Floats] = (np.empty(0), np.empty(0))
        self.best_accuracy = -1.0
        self.best_epoch = 0
        self.n_worse = 0

    def add(self, epoch: Epoch, weights: torch.Tensor, intercepts: torch.Tensor) -> None:
        """Record an epoch with the probe (d, K), (1, K) after it."""
        self.epochs.append(epoch)
        if epoch.is_best:
            self.best, self.best_epoch, self.n_worse = _arrays(weights, intercepts), epoch.epoch, 0
            self.best_accuracy = epoch.validation_accuracy or 0.0
        elif epoch.validation_accuracy is not None:
            self.n_worse += 1


def _train(
    x: torch.Tensor, t: torch.Tensor, held_out: torch.Tensor, held_out_t: torch.Tensor, settings: AdamSettings
) -> list[AdamProbe]:
    """Train layers x (L, n, d) on targets t (n, K), with batched products over the layers."""
    (n_layers, n, d), n_classes = x.shape, t.shape[1]
    # Random numbers of the CPU, the same for every layer: neither the device nor the other layers change a probe.
    random = torch.Generator().manual_seed(settings.seed)
    first = torch.empty(n_classes, d).normal_(0, settings.deviation, generator=random)
    weights = first.T.to(x.device).repeat(n_layers, 1, 1)
    intercepts = torch.zeros(n_layers, 1, n_classes, device=x.device)
    optimiser = BatchedAdam((weights, intercepts), settings.betas, settings.epsilon)
    rates = torch.full((n_layers,), settings.learning_rate, dtype=torch.float64)
    lowest = torch.full((n_layers,), math.inf, dtype=torch.float64)
    layers, is_open = [_Progress() for _ in range(n_layers)], torch.ones(n_layers, dtype=torch.float64)
    for epoch in range(1, settings.epochs + 1):
        order = torch.randperm(n, generator=random).to(x.device)
        losses, hits = torch.zeros(n_layers, device=x.device), torch.zeros(n_layers, device=x.device)
        for rows in order.split(settings.batch_rows):
            batch, target = x[:, rows], t[rows]
            scores = torch.baddbmm(intercepts, batch, weights)
            losses += mean_loss(scores, target)
            hits += hits_of(scores, target)
            residual = (scores.sigmoid_() - target) / (len(rows) * n_classes)
            by_weights = torch.bmm(batch.transpose(1, 2), residual).add_(weights, alpha=settings.weight_decay)
            optimiser.step((by_weights, residual.sum(1, keepdim=True)), rates * is_open)
        epoch_losses = losses.double().cpu() / math.ceil(n / settings.batch_rows)
        is_validated = epoch % settings.validate_every == 0
        if is_validated:
            accuracies = hits_of(torch.baddbmm(intercepts, held_out, weights), held_out_t) / len(held_out_t)
            objectives = mean_loss(torch.baddbmm(intercepts, x, weights), t)
            objectives += settings.weight_decay / 2 * weights.square().sum((1, 2))
        for i, layer in enumerate(layers):
            if not is_open[i]:
                continue
            record = Epoch(epoch, float(epoch_losses[i]), float(hits[i] / n), float(rates[i]))
            if is_validated:
                accuracy = float(accuracies[i])
                record = replace(
                    record,
                    validation_accuracy=accuracy,
                    is_best=accuracy > layer.best_accuracy,
                    objective=float(objectives[i]),
                )
            layer.add(record, weights[i], intercepts[i])
            if settings.early_stopping and layer.n_worse >= settings.early_stopping:
                is_open[i] = 0
        # ReduceLROnPlateau(factor, patience=0) of torch.optim.lr_scheduler, for every layer.
        is_lower = epoch_losses < lowest * (1 - PLATEAU)
        lowest = torch.where(is_lower, epoch_losses, lowest)
        reduced = rates * settings.factor
        rates = torch.where(~is_lower & (rates - reduced > LEAST_CHANGE), reduced, rates)
        if not is_open.any():
            break
    last = [_arrays(weights[i], intercepts[i]) for i in range(n_layers)]
    return [
        AdamProbe(*layer.best, *of_layer, layer.best_epoch, tuple(layer.epochs))
        for layer, of_layer in zip(layers, last, strict=True)
    ]


def _arrays(weights: torch.Tensor, intercepts: torch.Tensor) -> tuple[Floats, Floats]:
    """Return copies (K, d) and (K,) in float64 of weights (d, K) and intercepts (1, K)."""
    return weights.T.double().cpu().numpy().copy(), intercepts[0].double().cpu().numpy().copy()
