"""Steps of Adam, losses and hits of the probes of several layers at once, as batched products of torch."""

from __future__ import annotations

import math

import torch


class BatchedAdam:
    """Adam (Kingma and Ba 2015, algorithm 1) on tensors of L layers, each with its learning rate; in place."""

    def __init__(self, parameters: tuple[torch.Tensor, ...], betas: tuple[float, float], epsilon: float) -> None:
        self.parameters, self.betas, self.epsilon, self.n_steps = parameters, betas, epsilon, 0
        self.means = [torch.zeros_like(part) for part in parameters]
        self.squares = [torch.zeros_like(part) for part in parameters]

    def step(self, gradients: tuple[torch.Tensor, ...], rates: torch.Tensor) -> None:
        """Take a step; ``rates`` (L,)."""
        self.n_steps += 1
        beta, beta_square = self.betas
        device = self.parameters[0].device
        length = (rates / (1 - beta**self.n_steps)).to(device, torch.float32)[:, None, None]
        correction = math.sqrt(1 - beta_square**self.n_steps)
        for part, mean, square, gradient in zip(self.parameters, self.means, self.squares, gradients, strict=True):
            mean.lerp_(gradient, 1 - beta)
            square.mul_(beta_square).addcmul_(gradient, gradient, value=1 - beta_square)
            part.sub_(length * mean / (square.sqrt().div_(correction).add_(self.epsilon)))


def mean_loss(scores: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Return the mean binary cross-entropy (L,) of scores (L, m, K) of targets (m, K)."""
    losses = torch.nn.functional.binary_cross_entropy_with_logits(scores, target.expand_as(scores), reduction="none")
    return losses.mean((1, 2))


def hits_of(scores: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Return how many rows have their class as the highest score (L,); of one class, how many the right sign."""
    if target.shape[1] == 1:
        return ((scores > 0) == (target > 0)).sum((1, 2)).float()
    return (scores.argmax(2) == target.argmax(1)).sum(1).float()
