"""The log of a search tree, from which its lower bound can be proved again without the solver.

The supports of a node are those of its parent with one more neuron in the support, or with one neuron fewer to
choose from. A node may hold a *certificate* (see :class:`Certificate`) of a bound; the bound of its parent
holds for it, too. A node is branched on, or *enumerated* (every support that it still allows has its own
certificate), or a leaf.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sparse_probing.probes.optimal.problem import Support
from sparse_probing.probes.optimal.support_fit import Certificate

FORMAT = 1
ROOT, WITHOUT, WITH = -1, 0, 1
"""How a node follows from its parent: it has none, or it is without the neuron, or with it."""


@dataclass(frozen=True)
class Claim:
    """What a log proves: no support of k neurons has an objective below ``lower_bound``."""

    loss: str
    ridge: float
    k: int
    support: Support
    coef: np.ndarray
    intercept: float
    upper_bound: float
    """Objective of the support."""
    lower_bound: float


@dataclass
class ProofLog:
    """Nodes in the order in which they were made, and supports that were fitted one by one."""

    nodes: list[tuple[int, int, int]] = field(default_factory=list)
    """Parent, side and neuron of each node."""
    certificates: dict[int, Certificate] = field(default_factory=dict)
    """By node."""
    branched: dict[int, int] = field(default_factory=dict)
    """Neuron that is branched on, by node."""
    enumerated: set[int] = field(default_factory=set)
    """Nodes whose supports are all among ``supports``."""
    supports: list[Certificate] = field(default_factory=list)
    """The columns of each certificate are the support."""

    def dumps(self, claim: Claim) -> bytes:
        """Return the log and its claim as the bytes of an ``.npz`` file."""
        numbers = range(len(self.nodes))
        no_certificate = Certificate(np.empty(0, np.int64), np.empty(0), 0.0, -1.0)
        of_nodes = [self.certificates.get(number, no_certificate) for number in numbers]
        # Arrays of different lengths are concatenated; ``end`` holds the position after the last entry of each.
        packed: dict[str, Any] = {}
        for kind, certificates in (("node", of_nodes), ("support", self.supports)):
            columns = [np.empty(0, np.int64), *(c.columns for c in certificates)]
            packed[f"{kind}_end"] = np.cumsum([len(c.columns) for c in certificates], dtype=np.int64)
            packed[f"{kind}_columns"] = np.concatenate(columns).astype(np.int32)
            packed[f"{kind}_coef"] = np.concatenate([np.empty(0), *(c.coef for c in certificates)])
            packed[f"{kind}_intercept"] = np.array([c.intercept for c in certificates], np.float64)
            packed[f"{kind}_delta"] = np.array([c.delta for c in certificates], np.float64)
        buffer = io.BytesIO()
        np.savez_compressed(
            buffer,
            allow_pickle=False,
            format=FORMAT,
            **vars(claim),
            parent=np.array([parent for parent, _, _ in self.nodes], np.int64),
            side=np.array([side for _, side, _ in self.nodes], np.int8),
            neuron=np.array([neuron for _, _, neuron in self.nodes], np.int64),
            branch=np.array([self.branched.get(number, -1) for number in numbers], np.int64),
            enumerated=np.array([number in self.enumerated for number in numbers]),
            **packed,
        )
        return buffer.getvalue()
