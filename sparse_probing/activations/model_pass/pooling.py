"""Aggregate the activations of a sequence: one vector per sequence from one vector per position."""

from __future__ import annotations

import math
from typing import Literal

import torch

Pooling = Literal["mean", "max", "last"]


def pool(
    activations: torch.Tensor, valid: torch.Tensor, pooling: Pooling, weights: torch.Tensor | None = None
) -> torch.Tensor:
    """Aggregate activations over the valid positions of each sequence.

    Parameters
    ----------
    activations : (batch, length, width) float
        Activations, padding included.
    valid : (batch, length) bool
        Positions that count; at least one in each row.
    pooling : {'mean', 'max', 'last'}
        Arithmetic mean (in float32), largest value of each neuron, or the last valid position. The largest value
        loses the negative end of a signed neuron; the mean keeps it.
    weights : (batch, 1, length) float32, optional
        ``valid`` as numbers, which a caller that pools several activations of a batch computes once.

    Returns
    -------
    (batch, width) float
        In float32 for the mean, otherwise in the dtype of the activations.
    """
    if pooling == "mean":
        weights = valid[:, None].to(torch.float32) if weights is None else weights
        return _sum_of_valid(activations, valid, weights) / weights.sum(2)
    if pooling == "max":
        return activations.masked_fill(~valid[..., None], -torch.inf).amax(1)
    positions = torch.arange(valid.shape[1], device=valid.device)
    last = torch.where(valid, positions, -1).amax(1)
    return activations[torch.arange(len(last), device=valid.device), last]


def _sum_of_valid(activations: torch.Tensor, valid: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Return the float32 sum (batch, width) over the valid positions.

    On a CPU this is one product of the mask with the activations, which reads them once and writes no masked copy. The
    product of 0 with NaN or infinity in the padding is NaN, so a sum that is not finite is computed again without the
    padding: what is then NaN or infinite is so at a valid position. Other devices sum a masked copy, because looking
    at the result would make the host wait for them, and because their products may be rounded to TF32.
    """
    if activations.device.type != "cpu":
        return activations.masked_fill(~valid[..., None], 0).sum(1, dtype=torch.float32)
    values = activations.to(torch.float32)
    total = torch.bmm(weights, values)[:, 0]
    if not math.isfinite(total.sum()):
        total = torch.bmm(weights, values.masked_fill(~valid[..., None], 0))[:, 0]
    return total
