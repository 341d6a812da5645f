"""What the learners that take steps share: the steps and their average, the scale of rows, and the targets.

References
----------
Loshchilov and Hutter, Decoupled Weight Decay Regularization (ICLR 2019), algorithm 2.
Polyak and Juditsky, Acceleration of Stochastic Approximation by Averaging (SIAM 1992).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sparse_probing.online.learners.label_sets import LabelSet
from sparse_probing.online.learners.losses import SetLosses
from sparse_probing.probes.inputs.scaling import Scaling
from sparse_probing.probes.inputs.validation import ClassWeight

STOPPED = "Stopped, not converged."
BETAS = (0.9, 0.95)
EPSILON = 1e-8
WARM_UP = 0.05
"""Share of the rows over which the learning rate rises."""
SCALED_BY = 0.25
"""Share of the rows after which mean and deviation stay as they are, so that all averaged steps mean the same."""
AVERAGED_FROM = 0.5
"""Share of the rows after which steps are averaged."""
CANDIDATES = ((1e-2, 0.01), (3e-3, 0.01), (3e-2, 0.01), (1e-2, 3.0))
"""Pairs of learning rate and weight decay; the first scores checks while the pass runs."""


@dataclass(frozen=True)
class AdamWSettings:
    """How the probes are trained."""

    n_rows: int
    """Training rows of the whole pass, over all epochs: what the learning rate falls with."""
    class_counts: tuple[int, ...]
    """Training rows of each counted class of each label set: what classes are weighted by."""
    batch_rows: int = 128
    """Rows of one step; an update with more rows takes several steps."""
    scaling: Scaling = "rms"
    """rms and none: one number divides all neurons; unit and paper: each neuron is divided by its deviation."""
    class_weight: ClassWeight = "balanced"
    """balanced: rows weigh n / (K n_class)."""
    candidates: tuple[tuple[float, float], ...] = CANDIDATES

    @classmethod
    def of_pass(
        cls, label_sets: Sequence[LabelSet], training_labels: NDArray, epochs: int = 1, **settings: Any
    ) -> Self:
        """Return the settings of a pass over rows with these labels (n, S), NaN for nulls."""
        labels = torch.from_numpy(np.asarray(training_labels, np.float64))
        counts = SetLosses(label_sets, "cpu").count(labels).tolist()
        return cls(n_rows=max(len(labels) * epochs, 1), class_counts=tuple(counts), **settings)

    @property
    def is_balanced(self) -> bool:
        """Whether classes weigh the same."""
        return self.class_weight == "balanced"


class AveragedAdamW:
    """AdamW on a matrix whose columns have their own learning rate, and the average of the last steps.

    The learning rate rises over the first rows and then falls to 0 in proportion to the rows that are left.

    Parameters
    ----------
    weights : (d + 1, columns) Tensor
        Changed in place; the last row are intercepts, which do not decay.
    rates, decays : (columns,) Tensor
    n_rows : int
        Rows of the whole pass.
    """

    def __init__(self, weights: Tensor, rates: Tensor, decays: Tensor, n_rows: int) -> None:
        self.weights, self._rates, self._decays, self._n_rows = weights, rates, decays, n_rows
        self.mean, self.square, self.average = (torch.zeros_like(weights) for _ in range(3))
        self.n_steps, self.n_averaged, self.rows_seen = 0, 0, 0

    @property
    def progress(self) -> float:
        """Share of the rows of the pass that were seen."""
        return min(self.rows_seen / self._n_rows, 1.0)

    @property
    def current(self) -> Tensor:
        """The average of the steps of the second half, or before it the last step."""
        return self.average if self.n_averaged else self.weights

    def step(self, gradient: Tensor, n_rows: int) -> None:
        """Take a step by the gradient (d + 1, columns) of so many rows."""
        self.n_steps += 1
        progress, (beta, beta_square) = self.progress, BETAS
        rate = self._rates * min((progress + 1 / self._n_rows) / WARM_UP, 1.0) * (1 - progress)
        self.mean.lerp_(gradient, 1 - beta)
        self.square.mul_(beta_square).addcmul_(gradient, gradient, value=1 - beta_square)
        step = self.mean / (1 - beta**self.n_steps)
        step /= (self.square / (1 - beta_square**self.n_steps)).sqrt_().add_(EPSILON)
        self.weights[:-1] *= 1 - rate * self._decays
        self.weights -= rate * step
        if progress >= AVERAGED_FROM:
            self.n_averaged += 1
            self.average += (self.weights - self.average) / self.n_averaged
        self.rows_seen += n_rows

    def state(self) -> dict[str, NDArray]:
        """Return everything that a resume needs, by name."""
        names = ("weights", "mean", "square", "average")
        arrays = {name: getattr(self, name).cpu().numpy().copy() for name in names}
        return arrays | {"progress": np.array([self.n_steps, self.n_averaged, self.rows_seen])}

    def load(self, state: dict[str, NDArray]) -> None:
        """Continue from what `state` returned."""
        for name in ("weights", "mean", "square", "average"):
            getattr(self, name).copy_(torch.from_numpy(np.array(state[name])))
        self.n_steps, self.n_averaged, self.rows_seen = map(int, state["progress"])


class RunningScale:
    """The running mean and variance of columns, by Chan's update."""

    def __init__(self, width: int, device: torch.device) -> None:
        self.n, self.mean, self.squares = torch.zeros(3, width, device=device)

    def update(self, rows: Tensor, is_used: Tensor | None = None) -> None:
        """Take rows (m, width), or those of their numbers that ``is_used`` (m, width) marks."""
        count = torch.full_like(self.n, len(rows)) if is_used is None else is_used.sum(0).to(self.n.dtype)
        part = rows if is_used is None else rows.where(is_used, 0)
        mean = part.sum(0) / count.clamp_min(1)
        offset = part - mean if is_used is None else (part - mean).where(is_used, 0)
        total, delta = (self.n + count).clamp_min(1), mean - self.mean
        self.squares = self.squares + offset.square().sum(0) + delta.square() * (self.n * count / total)
        self.mean = torch.where(count > 0, self.mean + delta * (count / total), self.mean)
        self.n = self.n + count

    def deviation(self, common: bool) -> Tensor:
        """Return the deviation (width,) of each column, or one for all; 1 where it is 0."""
        variance = self.squares / self.n.clamp_min(1)
        deviation = (variance.mean().expand_as(variance) if common else variance).sqrt()
        return torch.where(deviation > 0, deviation, 1.0)

    def state(self) -> NDArray:
        """Return everything that a resume needs, (3, width)."""
        return torch.stack([self.n, self.mean, self.squares]).cpu().numpy()

    def load(self, state: NDArray) -> None:
        """Continue from what `state` returned."""
        self.n, self.mean, self.squares = torch.from_numpy(np.array(state)).to(self.n.device)


class Targets:
    """The label sets of a place as the steps need them: weights of classes, and targets with mean 0 and deviation 1."""

    def __init__(self, label_sets: Sequence[LabelSet], settings: AdamWSettings, device: torch.device) -> None:
        self.losses = SetLosses(label_sets, device)
        self._is_balanced = settings.is_balanced
        self._counts = torch.tensor(settings.class_counts, device=device)
        self._regression = [s for s, each in enumerate(label_sets) if each.kind == "regression"]
        self.scale = RunningScale(len(self._regression), device)

    def measure(self, labels: Tensor) -> None:
        """Measure the targets of regression sets."""
        targets = labels[:, self._regression]
        self.scale.update(targets, ~targets.isnan())

    def weights(self, labels: Tensor) -> Tensor | None:
        """Return the weights (m, S) of rows; None where all rows weigh the same."""
        return self.losses.balanced_weights(labels, self._counts) if self._is_balanced else None

    def scaled(self, labels: Tensor) -> Tensor:
        """Return labels (m, S) whose regression targets have mean 0 and deviation 1."""
        labels = labels.clone()
        labels[:, self._regression] = (labels[:, self._regression] - self.scale.mean) / self.scale.deviation(False)
        return labels

    def undo(self, coef: Tensor, intercept: Tensor) -> tuple[Tensor, Tensor]:
        """Return coef (..., outputs) and intercept (outputs,) for targets as they are."""
        columns = [self.losses.spans[s].start for s in self._regression]
        factor, offset = torch.ones_like(intercept), torch.zeros_like(intercept)
        factor[columns], offset[columns] = self.scale.deviation(False), self.scale.mean
        return coef * factor, intercept * factor + offset
