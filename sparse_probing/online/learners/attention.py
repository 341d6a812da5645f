"""Attention pooling that is trained while the model runs, for all label sets of a place.

With scaled tokens z_t of a text, heads h, queries q_h and values v_h the score is
``sum_h sum_t softmax_t(q_h z_t) (v_h z_t) + c``: queries and values of each label set, values of each of its classes.
Queries start at zero, where the score is that of a linear probe of the mean. Training is that of
:mod:`sparse_probing.online.learners.adamw`: candidates side by side, and the average of the second half of the steps.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from sparse_probing.activations.model_pass.attention_pool import FIRST_VALUES, attention_pool, pooled_scores
from sparse_probing.online.learners.averaged_adamw import (
    SCALED_BY,
    STOPPED,
    AdamWSettings,
    AveragedAdamW,
    RunningScale,
    Targets,
)
from sparse_probing.online.learners.label_sets import LabelSet
from sparse_probing.online.learners.losses import SetLosses
from sparse_probing.probes.inputs.validation import Floats


@dataclass(frozen=True)
class AttentionSettings(AdamWSettings):
    """How attention pooling is trained; rows are texts."""

    batch_rows: int = 16
    candidates: tuple[tuple[float, float], ...] = ((1e-2, 0.01), (3e-3, 0.01), (3e-2, 0.01))
    n_heads: int = 1
    seed: int = 0
    """Of the first values of several heads, which would stay equal if they started so; one head starts at zero."""


@dataclass(frozen=True, eq=False)
class AttentionFit:
    """A probe of one label set that pools the tokens of a text by attention."""

    label_set: LabelSet
    queries: Floats
    """(heads, d), for activations as the model computes them."""
    values: Floats
    """(heads, outputs, d), for activations as the model computes them."""
    intercept: Floats
    """(outputs,)"""
    status: str
    """Which kind of optimum was reached, in a sentence."""
    converged: bool
    regularization: float
    """The weight decay that was chosen on validation texts."""

    def scores(self, activations: ArrayLike, mask: ArrayLike | None = None) -> Floats:
        """Return the scores (n, outputs) of texts.

        Parameters
        ----------
        activations : (n, length, d) array
            Finite where there is a token.
        mask : (n, length) array of bool, optional
            Default: where the activations are not NaN.
        """
        where = ~np.isnan(np.asarray(activations)[..., 0]) if mask is None else mask
        is_token = torch.from_numpy(np.asarray(where, bool))
        tokens = torch.from_numpy(np.asarray(activations, np.float64)).masked_fill(~is_token[..., None], 0)
        values, queries = torch.from_numpy(self.values), torch.from_numpy(self.queries)
        return pooled_scores(tokens, is_token, values, queries).numpy() + self.intercept


class Attention:
    """The attention poolings of all label sets of one place while they are trained.

    Parameters
    ----------
    width : int
        Neurons d.
    label_sets : sequence of LabelSet
    settings : AttentionSettings
        ``AttentionSettings.of_pass`` counts the texts and classes of a pass.
    device : torch.device or str
        Of the activations.

    Notes
    -----
    Memory: 16 bytes for each neuron, candidate, head, and output or query. A step of m texts of T tokens needs
    ``12 m T + 8 m d`` bytes for each head of each candidate and label set.
    """

    def __init__(
        self, width: int, label_sets: Sequence[LabelSet], settings: AttentionSettings, device: torch.device | str
    ) -> None:
        self.label_sets, self.settings, self.device = tuple(label_sets), settings, torch.device(device)
        self.targets = Targets(self.label_sets, settings, self.device)
        self.scale = RunningScale(width, self.device)
        n_candidates, heads = len(settings.candidates), settings.n_heads
        self._of_all = SetLosses(self.label_sets * n_candidates, self.device)
        # Columns: the queries of each candidate and set, then the values of each, head by head.
        outputs = [span.stop - span.start for span in self._of_all.spans]
        self._n_queries = heads * len(outputs)
        ends = self._n_queries + heads * np.cumsum([0, *outputs])
        self._values = [slice(int(start), int(stop)) for start, stop in zip(ends[:-1], ends[1:], strict=True)]
        weights = torch.zeros(width + 1, int(ends[-1]))
        if heads > 1:
            generator, of_candidate = torch.Generator().manual_seed(settings.seed), ends[len(self.label_sets)]
            first = torch.empty(width, int(of_candidate) - self._n_queries)
            first.normal_(0, FIRST_VALUES, generator=generator)
            weights[:-1, self._n_queries :] = first.repeat(1, n_candidates)
        rates, decays = (
            torch.cat([each.repeat_interleave(heads * len(self.label_sets)), each.repeat_interleave(first_outputs)])
            for each, first_outputs in (
                (part, heads * self.targets.losses.spans[-1].stop)
                for part in torch.tensor(settings.candidates, dtype=torch.float32).T
            )
        )
        self.optimizer = AveragedAdamW(
            weights.to(self.device), rates.to(self.device), decays.to(self.device), settings.n_rows
        )

    @torch.inference_mode()
    def update(self, activations: Tensor, mask: Tensor, labels: Tensor) -> None:
        """Take one step for each ``batch_rows`` training texts.

        Parameters
        ----------
        activations : (m, length, d) Tensor
            Finite where there is a token.
        mask : (m, length) Tensor of bool
            Where there is a token; each text has one.
        labels : (m, S) Tensor
            NaN for nulls.
        """
        if not len(activations):
            return
        tokens = activations.to(torch.float32).masked_fill(~mask[..., None], 0)
        labels = labels.to(self.device, torch.float32)
        if self.optimizer.progress < SCALED_BY:
            self.scale.update(tokens[mask])
            self.targets.measure(labels)
        n_steps = math.ceil(len(tokens) / self.settings.batch_rows)
        for first in range(n_steps):
            of_step = slice(first, None, n_steps)
            self._step(tokens[of_step], mask[of_step], labels[of_step])

    def _step(self, tokens: Tensor, mask: Tensor, labels: Tensor) -> None:
        """Take a step of all candidates and label sets, by the gradient of the pooled scores."""
        heads, n_candidates = self.settings.n_heads, len(self.settings.candidates)
        folded = self._folded(self.optimizer.weights)
        attention, pooled = attention_pool(tokens, mask, folded[: self._n_queries])
        pooled -= self.scale.mean
        weights = self.targets.weights(labels)
        residual = self._of_all.residuals(
            self._scores(pooled, folded, self.optimizer.weights[-1]),
            self.targets.scaled(labels).repeat(1, n_candidates),
            None if weights is None else weights.repeat(1, n_candidates),
        )
        gradient = torch.zeros_like(self.optimizer.weights)
        by_pooled = torch.empty_like(pooled)
        for i, (span, columns) in enumerate(zip(self._of_all.spans, self._values, strict=True)):
            r, of_heads = residual[:, span], slice(heads * i, heads * (i + 1))
            values = folded[columns].unflatten(0, (heads, -1))
            by_values = torch.einsum("nk,nhd->hkd", r, pooled[:, of_heads])
            gradient[:-1, columns] = by_values.flatten(0, 1).T
            # The intercept of a set is that of its first head.
            gradient[-1, columns.start : columns.start + r.shape[1]] = r.sum(0)
            by_pooled[:, of_heads] = torch.einsum("nk,hkd->nhd", r, values)
        # Through the softmax: a_t (u_t - sum_s a_s u_s) with u_t = x_t d loss / d pooled.
        by_weight = tokens @ by_pooled.transpose(1, 2)
        by_logit = attention * (by_weight - (attention * by_weight).sum(1, keepdim=True))
        gradient[:-1, : self._n_queries] = torch.einsum("nth,ntd->dh", by_logit, tokens)
        gradient[:-1] /= self._deviation()[:, None]
        self.optimizer.step(gradient, len(tokens))

    @torch.inference_mode()
    def finish(self, validation: Iterable[tuple[Tensor, Tensor, Tensor]]) -> list[AttentionFit]:
        """Return for each label set the probe of the candidate with the smallest loss of validation texts.

        Parameters
        ----------
        validation : iterable of ((v, length, d), (v, length), (v, S)) Tensors
            Batches of activations, masks and labels.
        """
        current = self.optimizer.current
        folded, scores, labels = self._folded(current), [], []
        for activations, mask, of_batch in validation:
            scores.append(self._scores(self._pooled(activations, mask, folded), folded, current[-1]))
            labels.append(of_batch.to(self.device, torch.float32))
        of_texts = torch.cat(labels)
        of_candidates = self.targets.scaled(of_texts).repeat(1, len(self.settings.candidates))
        losses = self._of_all.tempered_losses(torch.cat(scores), of_candidates, self.settings.is_balanced)
        ones = torch.ones(self.targets.losses.spans[-1].stop, device=self.device)
        factor, offset = (part.cpu().double().numpy() for part in self.targets.undo(ones, torch.zeros_like(ones)))
        chosen = self.targets.losses.best_of(losses, of_texts)
        heads, fits = self.settings.n_heads, []
        mean, folded, intercepts = (part.cpu().double().numpy() for part in (self.scale.mean, folded, current[-1]))
        for s, (each, span, candidate) in enumerate(
            zip(self.label_sets, self.targets.losses.spans, chosen, strict=True)
        ):
            i = candidate * len(self.label_sets) + s
            values = folded[self._values[i]].reshape(heads, each.outputs, -1) * factor[span, None]
            first = self._values[i].start
            intercept = intercepts[first : first + each.outputs] * factor[span] + offset[span]
            fits.append(
                AttentionFit(
                    each,
                    folded[heads * i : heads * (i + 1)],
                    values,
                    intercept - (values @ mean).sum(axis=0),
                    STOPPED,
                    False,
                    self.settings.candidates[candidate][1],
                )
            )
        return fits

    @torch.inference_mode()
    def scores(self, activations: Tensor, mask: Tensor) -> Tensor:
        """Return the scores (m, outputs) of texts (m, length, d) by the present probes of the first candidate."""
        current = self.optimizer.current
        folded = self._folded(current)
        scores = self._scores(self._pooled(activations, mask, folded), folded, current[-1])
        factor_and_offset = torch.ones_like(scores[0, : self.targets.losses.spans[-1].stop])
        factor, offset = self.targets.undo(factor_and_offset, torch.zeros_like(factor_and_offset))
        return scores[:, : len(factor)] * factor + offset

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

    def _folded(self, weights: Tensor) -> Tensor:
        """Return queries and values (columns, d) for activations as they are, apart from their mean."""
        return (weights[:-1] / self._deviation()[:, None]).T

    def _pooled(self, activations: Tensor, mask: Tensor, folded: Tensor) -> Tensor:
        """Return the pooled tokens (n, queries, d), less their mean."""
        tokens = activations.to(self.device, torch.float32).masked_fill(~mask[..., None], 0)
        return attention_pool(tokens, mask, folded[: self._n_queries])[1] - self.scale.mean

    def _scores(self, pooled: Tensor, folded: Tensor, intercepts: Tensor) -> Tensor:
        """Return the scores (n, candidates x outputs) of pooled tokens, with scaled targets."""
        heads, scores = self.settings.n_heads, []
        for i, (span, columns) in enumerate(zip(self._of_all.spans, self._values, strict=True)):
            values = folded[columns].unflatten(0, (heads, -1))
            constant = intercepts[columns.start : columns.start + span.stop - span.start]
            scores.append(torch.einsum("nhd,hkd->nk", pooled[:, heads * i : heads * (i + 1)], values) + constant)
        return torch.cat(scores, dim=1)
