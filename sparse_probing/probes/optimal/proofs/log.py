"""The log of a search tree, from which its lower bound can be proved again without the solver.

Every node but the root is its parent's with one more neuron in the support, or one fewer to choose from.
A node holds a *certificate* (see :class:`Certificate`) for a bound of its own, where it has one; the bound of
its parent holds for it too. A node is branched on, or *enumerated* (every support that is left has a
certificate of its own), or a leaf.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sparse_probing.probes.optimal.support_fit import Certificate

FORMAT = 1
ROOT, WITHOUT, WITH = -1, 0, 1
"""How a node follows from its parent: not at all, without the neuron, or with it."""


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
    """The columns of each are the support."""

    def add_node(self, parent: int, side: int, neuron: int) -> int:
        """Add a node and return its number."""
        self.nodes.append((parent, side, neuron))
        return len(self.nodes) - 1

    def dumps(self, claim: Claim) -> bytes:
        """Return the log and what it is to prove as the bytes of an ``.npz`` file."""
        kept = [self.certificates.get(node) for node in range(len(self.nodes))]
        nothing = Certificate(np.empty(0, np.int64), np.empty(0), 0.0, -1.0)
        buffer, packed = io.BytesIO(), _packed("node", [c or nothing for c in kept]) | _packed("support", self.supports)
        np.savez_compressed(
            buffer,
            allow_pickle=False,
            format=FORMAT,
            loss=claim.loss,
            ridge=claim.ridge,
            k=claim.k,
            support=claim.support,
            coef=claim.coef,
            intercept=claim.intercept,
            upper_bound=claim.upper_bound,
            lower_bound=claim.lower_bound,
            parent=np.array([n[0] for n in self.nodes], np.int64),
            side=np.array([n[1] for n in self.nodes], np.int8),
            neuron=np.array([n[2] for n in self.nodes], np.int64),
            branch=np.array([self.branched.get(n, -1) for n in range(len(self.nodes))], np.int64),
            enumerated=np.array([n in self.enumerated for n in range(len(self.nodes))]),
            **packed,
        )
        return buffer.getvalue()


@dataclass(frozen=True)
class Claim:
    """What a log is to prove."""

    loss: str
    ridge: float
    k: int
    support: tuple[int, ...]
    coef: np.ndarray
    intercept: float
    upper_bound: float
    lower_bound: float


def _packed(name: str, certificates: Iterable[Certificate]) -> dict[str, Any]:
    """Return certificates one behind the other."""
    all_of = list(certificates)
    return {
        f"{name}_end": np.cumsum([len(c.columns) for c in all_of], dtype=np.int64),
        f"{name}_columns": np.concatenate([np.empty(0, np.int64), *(c.columns for c in all_of)]).astype(np.int32),
        f"{name}_coef": np.concatenate([np.empty(0), *(c.coef for c in all_of)]),
        f"{name}_intercept": np.array([c.intercept for c in all_of], np.float64),
        f"{name}_delta": np.array([c.delta for c in all_of], np.float64),
    }
