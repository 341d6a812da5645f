"""Minibatch AdamW on all label sets of a place at once: for more rows than memory holds.

Several learning rates and weight decays are trained side by side, as further columns of the same two products with the
rows; validation rows choose among them. Rows are scaled by their running mean and deviation, which is folded into
these products, so that no scaled copy of the rows is made. The probe is the average of the steps of the second half.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from numpy.typing import NDArray
from torch import Tensor

from sparse_probing.online.learners.averaged_adamw import (
    SCALED_BY,
    STOPPED,
    AdamWSettings,
    AveragedAdamW,
    RunningScale,
    Targets,
)
from sparse_probing.online.learners.label_sets import LabelSet, OnlineFit
from sparse_probing.online.learners.losses import SetLosses


class AdamW:
    """The probes of all label sets of one place while they are trained.

    Parameters
    ----------
    width : int
        Neurons d.
    label_sets : sequence of LabelSet
    settings : AdamWSettings
        ``AdamWSettings.of_pass`` counts the rows and classes of a pass.
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
        self.label_sets, self.settings, self.device = tuple(label_sets), settings, torch.device(device)
        self.targets = Targets(self.label_sets, settings, self.device)
        self.scale = RunningScale(width, self.device)
        n_candidates, n_outputs = len(settings.candidates), self.targets.losses.spans[-1].stop
        self._of_all = SetLosses(self.label_sets * n_candidates, self.device)
        rates, decays = torch.tensor(settings.candidates, dtype=torch.float32, device=self.device).T
        self.optimizer = AveragedAdamW(
            torch.zeros(width + 1, n_candidates * n_outputs, device=self.device),
            rates.repeat_interleave(n_outputs),
            decays.repeat_interleave(n_outputs),
            settings.n_rows,
        )

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
        if self.optimizer.progress < SCALED_BY:
            self.scale.update(rows)
            self.targets.measure(labels)
        n_candidates = len(self.settings.candidates)
        deviation, mean = self._deviation(), self.scale.mean
        n_steps = math.ceil(len(rows) / self.settings.batch_rows)
        for first in range(n_steps):
            x, part = rows[first::n_steps], labels[first::n_steps]
            weights = self.targets.weights(part)
            coef, intercept = self._folded(self.optimizer.weights)
            residual = self._of_all.residuals(
                torch.addmm(intercept, x, coef),
                self.targets.scaled(part).repeat(1, n_candidates),
                None if weights is None else weights.repeat(1, n_candidates),
            )
            total = residual.sum(0)
            by_weights = (x.T @ residual - mean[:, None] * total) / deviation[:, None]
            self.optimizer.step(torch.cat([by_weights, total[None]]), len(x))

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
        coef, intercept = self._folded(self.optimizer.current)
        scores = torch.addmm(intercept, validation_rows.to(self.device, torch.float32), coef)
        of_candidates = self.targets.scaled(labels).repeat(1, len(self.settings.candidates))
        losses = self._of_all.tempered_losses(scores, of_candidates, self.settings.is_balanced)
        chosen = self.targets.losses.best_of(losses, labels)
        coef, intercept = (part.cpu().double().numpy() for part in self._of_candidates(chosen))
        return [
            OnlineFit(
                each, coef[:, span].T.copy(), intercept[span], STOPPED, False, self.settings.candidates[candidate][1]
            )
            for each, span, candidate in zip(self.label_sets, self.targets.losses.spans, chosen, strict=True)
        ]

    @torch.inference_mode()
    def scores(self, rows: Tensor) -> Tensor:
        """Return the scores (m, outputs) of rows (m, d) by the present probes of the first candidate."""
        coef, intercept = self._of_candidates([0] * len(self.label_sets))
        return torch.addmm(intercept, rows.to(self.device, torch.float32), coef)

    def state(self) -> dict[str, NDArray]:
        """Return everything that a resume needs, by name."""
        scales = {"scale": self.scale.state(), "target_scale": self.targets.scale.state()}
        return self.optimizer.state() | scales

    def load(self, state: dict[str, NDArray]) -> None:
        """Continue from what `state` returned: the numbers that follow are the same to the bit."""
        self.optimizer.load(state)
        self.scale.load(state["scale"])
        self.targets.scale.load(state["target_scale"])

    def _deviation(self) -> Tensor:
        return self.scale.deviation(common=self.settings.scaling in ("rms", "none"))

    def _folded(self, weights: Tensor) -> tuple[Tensor, Tensor]:
        """Return coef (d, columns) and intercept (columns,) for activations as they are."""
        coef = weights[:-1] / self._deviation()[:, None]
        return coef, weights[-1] - self.scale.mean @ coef

    def _of_candidates(self, chosen: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Return coef (d, outputs) and intercept (outputs,) of a candidate of each set, for targets as they are."""
        coef, intercept = self._folded(self.optimizer.current)
        n_sets = len(self.label_sets)
        spans = [self._of_all.spans[candidate * n_sets + s] for s, candidate in enumerate(chosen)]
        return self.targets.undo(
            torch.cat([coef[:, span] for span in spans], dim=1), torch.cat([intercept[span] for span in spans])
        )
