"""Minibatch AdamW on all label sets of a place at once: for more rows than memory holds.

Several learning rates and weight decays are trained side by side, as further columns of the same two products with the
rows; validation rows choose among them. Rows are scaled by their running mean and deviation, which is folded into
these products, so that no scaled copy of the rows is made. The learning rate rises over the first rows and then falls
to 0 in proportion to the rows that are left, and the probe is the average of the steps of the second half.

References
----------
Loshchilov and Hutter, Decoupled Weight Decay Regularization (ICLR 2019), algorithm 2.
Polyak and Juditsky, Acceleration of Stochastic Approximation by Averaging (SIAM 1992).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sparse_probing.online.label_sets import LabelSet, OnlineFit
from sparse_probing.online.losses import SetLosses
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
TENSORS = ("weights", "mean", "square", "average")
"""Attributes that change from step to step."""


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
    ) -> AdamWSettings:
        """Return the settings of a pass over rows with these labels (n, S), NaN for nulls."""
        labels = torch.from_numpy(np.asarray(training_labels, np.float64))
        counts = SetLosses(label_sets, "cpu").count(labels).tolist()
        return cls(n_rows=max(len(labels) * epochs, 1), class_counts=tuple(counts), **settings)


class RunningScale:
    """The running mean and variance of columns, by Chan's update."""

    def __init__(self, width: int, device: torch.device) -> None:
        self.n = torch.zeros(width, device=device)
        self.mean, self.squares = torch.zeros(width, device=device), torch.zeros(width, device=device)

    def update(self, rows: Tensor, is_used: Tensor | None = None) -> None:
        """Take rows (m, width), or those of their numbers that ``is_used`` (m, width) marks."""
        count = torch.full_like(self.n, len(rows)) if is_used is None else is_used.sum(0).to(self.n.dtype)
        part = rows if is_used is None else rows.where(is_used, 0)
        mean = part.sum(0) / count.clamp_min(1)
        offset = part - mean if is_used is None else (part - mean).where(is_used, 0)
        total, delta = (self.n + count).clamp_min(1), mean - self.mean
        self.squares += offset.square().sum(0) + delta.square() * (self.n * count / total)
        self.mean = torch.where(count > 0, self.mean + delta * (count / total), self.mean)
        self.n = self.n + count

    def deviation(self, common: bool) -> Tensor:
        """Return the deviation (width,) of each column, or one for all; 1 where it is 0."""
        variance = self.squares / self.n.clamp_min(1)
        deviation = (variance.mean().expand_as(variance) if common else variance).sqrt()
        return torch.where(deviation > 0, deviation, 1.0)


class AdamW:
    """The probes of all label sets of one place while they are trained.

    Parameters
    ----------
    width : int
        Neurons d.
    label_sets : sequence of LabelSet
    settings : AdamWSettings
    device : torch.device or str
        Of the rows.

    Notes
    -----
    Memory: 16 bytes for each neuron, output and candidate. Nothing is random: the rows of a step are every s-th row of
    an update of s steps, so that neighbouring tokens are not in one step.
    """

    def __init__(
        self, width: int, label_sets: Sequence[LabelSet], settings: AdamWSettings, device: torch.device | str
    ) -> None:
        self.width, self.label_sets, self.settings = width, tuple(label_sets), settings
        self.device = torch.device(device)
        self.losses = SetLosses(self.label_sets, self.device)
        n_candidates, n_outputs = len(settings.candidates), self.losses.spans[-1].stop
        self._of_all = SetLosses(self.label_sets * n_candidates, self.device)
        rates, decays = torch.tensor(settings.candidates, device=self.device, dtype=torch.float32).T
        self._rates, self._decays = (part.repeat_interleave(n_outputs) for part in (rates, decays))
        self._regression = [s for s, each in enumerate(self.label_sets) if each.kind == "regression"]
        self.rows_seen, self.n_steps, self.n_averaged = 0, 0, 0
        self.scale = RunningScale(width, self.device)
        self.target_scale = RunningScale(len(self._regression), self.device)
        self._counts = torch.tensor(settings.class_counts, device=self.device)
        shape = (width + 1, n_candidates * n_outputs)  # the last row is the intercept
        self.weights, self.mean, self.square, self.average = (torch.zeros(shape, device=self.device) for _ in range(4))

    @torch.inference_mode()
    def update(self, rows: Tensor, labels: Tensor) -> None:
        """Take one step for each ``batch_rows`` training rows.

        Parameters
        ----------
        rows : (m, d) Tensor
            Finite activations.
        labels : (m, S) Tensor
            NaN for nulls.
        """
        rows, labels = rows.to(torch.float32), labels.to(self.device, torch.float32)
        if not len(rows):
            return
        progress = self.rows_seen / self.settings.n_rows
        if progress < SCALED_BY:
            self.scale.update(rows)
            targets = labels[:, self._regression]
            self.target_scale.update(targets, ~targets.isnan())
        weights = self.losses.balanced_weights(labels, self._counts) if self._is_balanced else None
        labels = self._scaled_targets(labels)
        n_steps = math.ceil(len(rows) / self.settings.batch_rows)
        for i in range(n_steps):
            part = slice(i, None, n_steps)
            self._step(rows[part], labels[part], None if weights is None else weights[part])
            self.rows_seen += len(rows[part])

    def _step(self, x: Tensor, labels: Tensor, weights: Tensor | None) -> None:
        """Take a step of AdamW of every candidate, on rows (m, d) with scaled targets and weights (m, S)."""
        n_candidates = len(self.settings.candidates)
        coef, intercept = self._folded(self.weights)
        residual = self._of_all.residuals(
            torch.addmm(intercept, x, coef),
            labels.repeat(1, n_candidates),
            None if weights is None else weights.repeat(1, n_candidates),
        )
        total = residual.sum(0)
        by_weights = (x.T @ residual - self.scale.mean[:, None] * total) / self._deviation()[:, None]
        gradient = torch.cat([by_weights, total[None]])
        self.n_steps += 1
        progress = min(self.rows_seen / self.settings.n_rows, 1.0)
        rate = self._rates * min((progress + 1 / self.settings.n_rows) / WARM_UP, 1.0) * (1 - progress)
        beta, beta_square = BETAS
        self.mean.lerp_(gradient, 1 - beta)
        self.square.mul_(beta_square).addcmul_(gradient, gradient, value=1 - beta_square)
        step = self.mean / (1 - beta**self.n_steps)
        step /= (self.square / (1 - beta_square**self.n_steps)).sqrt_().add_(EPSILON)
        self.weights[:-1] *= 1 - rate * self._decays
        self.weights -= rate * step
        if progress >= AVERAGED_FROM:
            self.n_averaged += 1
            self.average += (self.weights - self.average) / self.n_averaged

    @torch.inference_mode()
    def finish(self, validation_rows: Tensor, validation_labels: Tensor) -> list[OnlineFit]:
        """Return for each label set the probe of the candidate with the smallest loss of validation rows.

        Losses are compared as in :meth:`Moments.finish`, after the best of several temperatures. Where the validation
        rows of a set do not have two classes, the first candidate is taken.

        Parameters
        ----------
        validation_rows : (v, d) Tensor
        validation_labels : (v, S) Tensor
        """
        labels = validation_labels.to(self.device, torch.float32)
        coef, intercept = self._folded(self._current())
        scores = torch.addmm(intercept, validation_rows.to(self.device, torch.float32), coef)
        of_candidates = self._scaled_targets(labels).repeat(1, len(self.settings.candidates))
        losses = self._of_all.tempered_losses(scores, of_candidates, self._is_balanced)
        best = losses.reshape(-1, len(self.label_sets)).nan_to_num(torch.inf).argmin(0)
        chosen = torch.where(self.losses.can_choose(labels), best, 0).tolist()
        coef, intercept = (part.cpu().double().numpy() for part in self._of_candidates(chosen))
        return [
            OnlineFit(
                each, coef[:, span].T.copy(), intercept[span], STOPPED, False, self.settings.candidates[candidate][1]
            )
            for each, span, candidate in zip(self.label_sets, self.losses.spans, chosen, strict=True)
        ]

    @torch.inference_mode()
    def scores(self, rows: Tensor) -> Tensor:
        """Return the scores (m, outputs) of rows (m, d) by the present probes of the first candidate."""
        coef, intercept = self._of_candidates([0] * len(self.label_sets))
        return torch.addmm(intercept, rows.to(self.device, torch.float32), coef)

    def state(self) -> dict[str, NDArray]:
        """Return everything that a resume needs, by name."""
        arrays = {name: getattr(self, name).cpu().numpy().copy() for name in TENSORS}
        for name, scale in (("scale", self.scale), ("target_scale", self.target_scale)):
            arrays[name] = torch.stack([scale.n, scale.mean, scale.squares]).cpu().numpy()
        return arrays | {"progress": np.array([self.rows_seen, self.n_steps, self.n_averaged])}

    def load(self, state: dict[str, NDArray]) -> None:
        """Continue from what `state` returned: the numbers that follow are the same to the bit."""
        for name in TENSORS:
            setattr(self, name, torch.from_numpy(np.array(state[name])).to(self.device))
        for name, scale in (("scale", self.scale), ("target_scale", self.target_scale)):
            scale.n, scale.mean, scale.squares = torch.from_numpy(np.array(state[name])).to(self.device)
        self.rows_seen, self.n_steps, self.n_averaged = map(int, state["progress"])

    @property
    def _is_balanced(self) -> bool:
        return self.settings.class_weight == "balanced"

    def _current(self) -> Tensor:
        return self.average if self.n_averaged else self.weights

    def _deviation(self) -> Tensor:
        return self.scale.deviation(common=self.settings.scaling in ("rms", "none"))

    def _folded(self, weights: Tensor) -> tuple[Tensor, Tensor]:
        """Return coef (d, columns) and intercept (columns,) for activations as they are."""
        coef = weights[:-1] / self._deviation()[:, None]
        return coef, weights[-1] - self.scale.mean @ coef

    def _of_candidates(self, chosen: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Return coef (d, outputs) and intercept (outputs,) of a candidate of each set, for targets as they are."""
        coef, intercept = self._folded(self._current())
        n_sets = len(self.label_sets)
        spans = [self._of_all.spans[candidate * n_sets + s] for s, candidate in enumerate(chosen)]
        coef = torch.cat([coef[:, span] for span in spans], dim=1)
        intercept = torch.cat([intercept[span] for span in spans])
        columns = [self.losses.spans[s].start for s in self._regression]
        deviation = self.target_scale.deviation(common=False)
        coef[:, columns] *= deviation
        intercept[columns] = intercept[columns] * deviation + self.target_scale.mean
        return coef, intercept

    def _scaled_targets(self, labels: Tensor) -> Tensor:
        """Return labels (m, S) whose regression targets have mean 0 and deviation 1."""
        labels = labels.clone()
        targets = labels[:, self._regression]
        labels[:, self._regression] = (targets - self.target_scale.mean) / self.target_scale.deviation(common=False)
        return labels
