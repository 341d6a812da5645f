"""Several probes of one hook point as one matrix on the device of the model, and the names of their scores."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from sparse_probing.activations.model_pass.attention_pool import pooled_scores
from sparse_probing.saved_probes.probe_data import ProbeData


@dataclass(frozen=True)
class TokenHeads:
    """A probe whose pooling over tokens was trained, as a function of the columns of its matrix."""

    at: slice
    """Its scores among those of the matrix."""
    values: torch.Tensor
    """(heads, outputs, s)"""
    queries: torch.Tensor | None
    """(heads, s); None for multimax."""


@dataclass(frozen=True)
class ProbeMatrix:
    """The probes of one hook point: scores = activations[..., columns] @ weights + bias."""

    hook_name: str
    """Full name of the hook point, such as ``blocks.3.hook_resid_post``."""
    probes: tuple[int, ...]
    """Numbers of the probes."""
    outputs: tuple[int, ...]
    """Number of each score among those of all probes."""
    columns: torch.Tensor | slice
    """The neurons that at least one probe reads: (s,) int64, or a slice where they are the first of the layer."""
    weights: torch.Tensor
    """(s, outputs); float64, except on devices without it (MPS)."""
    bias: torch.Tensor
    """(outputs,)"""
    heads: tuple[TokenHeads, ...]
    """The probes with trained pooling; the weights of such a probe score a token by itself."""

    def scores_of(self, activations: torch.Tensor) -> torch.Tensor:
        """Return the scores (..., outputs) of activations (..., width), on their device."""
        return self.scores_of_columns(activations[..., self.columns])

    def scores_of_columns(self, values: torch.Tensor) -> torch.Tensor:
        """Return the scores (..., outputs) of the activations (..., s) of the columns."""
        flat = values.reshape(-1, values.shape[-1]).to(self.weights.dtype)
        return torch.addmm(self.bias, flat, self.weights).reshape(*values.shape[:-1], -1)

    def scores_by_heads(self, values: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Return the scores (n, outputs) of texts by trained pooling; NaN for the other probes.

        Parameters
        ----------
        values : (n, length, s) Tensor
            Activations of the columns.
        mask : (n, length) Tensor of bool
            The tokens that are pooled.
        """
        tokens = values.to(self.weights.dtype).masked_fill(~mask[..., None], 0)
        scores = self.bias.new_full((len(values), len(self.bias)), torch.nan)
        for each in self.heads:
            scores[:, each.at] = pooled_scores(tokens, mask, each.values, each.queries) + self.bias[each.at]
        return scores


def probe_matrices(probes: Sequence[ProbeData], device: torch.device) -> list[ProbeMatrix]:
    """Return one matrix for each hook point that the probes read.

    Parameters
    ----------
    probes : sequence of ProbeData
        Their outputs are numbered in this order.
    device : torch.device
        Device of the activations.
    """
    dtype = torch.float32 if device.type == "mps" else torch.float64
    starts = np.cumsum([0, *(len(probe.intercept) for probe in probes)])
    by_name: dict[str, list[int]] = {}
    for number, probe in enumerate(probes):
        by_name.setdefault(hook_name(probe), []).append(number)
    matrices = []
    for name, numbers in by_name.items():
        columns = np.unique(np.concatenate([probes[number].support for number in numbers]))
        outputs = np.concatenate([np.arange(starts[number], starts[number + 1]) for number in numbers])
        weights, biases, heads, stop = np.zeros((len(columns), len(outputs))), [], [], 0
        for number in numbers:
            probe = probes[number]
            # Scaling is a part of the coefficients: in float64 the difference of large numbers is still exact enough.
            values, own = probe.values / probe.scale, np.searchsorted(columns, probe.support)
            of_token = values.sum(axis=0)
            at = slice(stop, stop := stop + len(of_token))
            weights[own, at] = of_token.T
            # The weights of the tokens of a head sum to 1, and a maximum moves with a constant: the bias is the same.
            biases.append(probe.intercept - of_token @ probe.mean)
            if probe.is_trained_pooling:
                spread = partial(_spread, at=own, width=len(columns))
                queries = None if probe.queries is None else spread(probe.queries / probe.scale).to(device, dtype)
                heads.append(TokenHeads(at, spread(values).to(device, dtype), queries))
        is_first = np.array_equal(columns, np.arange(len(columns)))
        matrices.append(
            ProbeMatrix(
                hook_name=name,
                probes=tuple(numbers),
                outputs=tuple(outputs.tolist()),
                columns=slice(len(columns)) if is_first else torch.from_numpy(columns).to(device),
                weights=torch.from_numpy(weights).to(device, dtype),
                bias=torch.from_numpy(np.concatenate(biases)).to(device, dtype),
                heads=tuple(heads),
            )
        )
    return matrices


def _spread(coefficients: NDArray[np.float64], at: NDArray[np.int64], width: int) -> torch.Tensor:
    """Return coefficients (..., k) of some columns as those (..., width) of all columns, with zeros elsewhere."""
    spread = np.zeros((*coefficients.shape[:-1], width))
    spread[..., at] = coefficients
    return torch.from_numpy(spread)


def hook_name(probe: ProbeData) -> str:
    """Return the full name of the hook point that a probe reads; of a submodule, such as ``h.5.mlp``, its own name.

    The names of all hook points of TransformerLens contain ``hook_``.
    """
    return f"blocks.{probe.layer}.{probe.hook_point}" if "hook_" in probe.hook_point else probe.hook_point


def score_names(probes: Sequence[ProbeData]) -> list[str]:
    """Return a distinct name for every score of some probes, in their order.

    It is the feature, for a probe of several classes ``feature=class``. Where probes share it, what they differ in
    follows: the layer after ``@``, then the hook point, the number of neurons (``k4``) and the aggregation, each after
    a dot; and where they do not differ in these, a number after ``#``.
    """

    def of_probe(probe: ProbeData, place: str) -> list[str]:
        names = [f"{probe.feature}={name}" for name in probe.classes] or [probe.feature]
        return [name + place for name in names]

    places = ["" for _ in probes]
    for further in (
        lambda probe: f"@{probe.layer}",
        lambda probe: f".{probe.hook_point}",
        lambda probe: f".k{len(probe.support)}",
        lambda probe: f".{probe.aggregation}",
    ):
        names = [of_probe(probe, place) for probe, place in zip(probes, places, strict=True)]
        parts: dict[str, set[str]] = {}
        for probe, of in zip(probes, names, strict=True):
            for name in of:
                parts.setdefault(name, set()).add(further(probe))
        places = [
            place + further(probe) if any(len(parts[name]) > 1 for name in of) else place
            for probe, place, of in zip(probes, places, names, strict=True)
        ]
    seen: Counter[str] = Counter()
    distinct = []
    for probe, place in zip(probes, places, strict=True):
        for name in of_probe(probe, place):
            seen[name] += 1
            distinct.append(name if seen[name] == 1 else f"{name}#{seen[name]}")
    return distinct
