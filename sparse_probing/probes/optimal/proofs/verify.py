"""Prove the lower bound of an optimal sparse probe again, from its log and the data.

This module shares no code with the solver. It rebuilds the tree from the root, derives again which neurons a node
can still use, and evaluates every bound in float64 with an allowance for rounding. Every support must belong to a
leaf whose bound is at least the claimed bound.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from math import comb, fsum
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
FORMAT = 1
UNIT = 2.0**-53
"""Unit roundoff of float64."""
MOST_SUPPORTS = 100_000
"""Largest number of supports that one node may enumerate."""


@dataclass(frozen=True)
class Verdict:
    """The result of a verification."""

    proved: bool
    reason: str
    """What is proved, or why it is not."""
    lower_bound: float = -np.inf
    """Smallest bound of a leaf and of the supports that nodes rule out, less the allowance for rounding."""


class UnsoundProofError(ValueError):
    """A log is not in the form of a proof, or does not cover all supports."""


@dataclass(frozen=True)
class Branch:
    """The supports that hold ``inside`` and otherwise only ``usable`` neurons."""

    inside: frozenset[int]
    usable: NDArray[np.bool_]
    bound: float
    path: str


def verify(columns: NDArray, y: NDArray, weight: NDArray, proof: bytes) -> Verdict:
    """Check a proof against its data.

    Parameters
    ----------
    columns : (d, n) float32
        Scaled neurons.
    y, weight : (n,)
        Labels and weights of the rows.
    proof : bytes
        An ``.npz`` file, as :meth:`ProofLog.dumps` writes it.

    Returns
    -------
    Verdict
        Proved, or the first leaf that is not, or what is wrong with the log. No exception is raised.
    """
    try:
        log = dict(np.load(io.BytesIO(proof), allow_pickle=False))
        if int(log["format"]) != FORMAT:
            raise UnsoundProofError(f"it has format {log['format']}, and this verifier reads format {FORMAT}")
        checker = Checker(columns, y, weight, log)
        checker.check_support()
        smallest, claimed = np.inf, float(log["lower_bound"])
        for bound, path in checker.leaves():
            if not bound >= claimed:
                return Verdict(False, f"The bound of {path} is {bound:.9g}, but {claimed:.9g} is claimed.")
            smallest = min(smallest, bound)
    except Exception as error:  # a damaged file can cause any error, and proves nothing
        return Verdict(False, f"The log is not sound: {error}")
    objective = f"{checker.loss} loss, ridge {checker.g:.6g}"
    reason = f"No support of {checker.k} neurons gets below {claimed:.9g} ({objective})."
    return Verdict(True, reason, min(smallest, checker.smallest_ruled_out))


class Checker:
    """Evaluate the certificates of a log on the data."""

    def __init__(self, columns: NDArray, y: NDArray, weight: NDArray, log: dict[str, Any]) -> None:
        self.X, self.y, self.w, self.log = columns.astype(np.float64), y, weight, log
        self.loss, self.g, self.k = str(log["loss"]), float(log["ridge"]), int(log["k"])
        self.upper, self.claimed = float(log["upper_bound"]), float(log["lower_bound"])
        self.norms = np.sqrt((self.X**2).sum(axis=1)) * (1 + 1e-9)
        n = self.X.shape[1]
        self.gamma = (n + 2) * UNIT / (1 - (n + 2) * UNIT)
        # The intercept of an optimal probe is no larger; otherwise the loss of one class would exceed the objective.
        reach = np.sqrt((self.X**2).sum(axis=0).max() * 2 * self.g * self.upper)
        if self.loss == "squared":
            largest = reach + np.abs(self.y).max() + np.sqrt(2 * self.upper / self.w.sum())
        else:
            largest = reach + 1 + self.upper / min(self.w[self.y > 0].sum(), self.w[self.y < 0].sum())
        self.largest_intercept = float(largest)
        self.smallest_ruled_out = np.inf
        """Smallest bound of the supports that were ruled out without a leaf; at least the claimed bound."""

    def check_support(self) -> None:
        """Recompute the objective of the support that is claimed to be optimal."""
        support, coef = self.log["support"], self.log["coef"]
        if len(set(support.tolist())) != self.k or len(coef) != self.k or not set(support) <= set(range(len(self.X))):
            raise UnsoundProofError(f"{support.tolist()} is not a support of {self.k} neurons")
        f = coef @ self.X[support] + float(self.log["intercept"])
        losses = {
            "hinge": lambda: np.maximum(0, 1 - self.y * f),
            "logistic": lambda: np.logaddexp(0, -self.y * f),
            "squared": lambda: (self.y - f) ** 2 / 2,
        }
        value = fsum(self.w * losses[self.loss]()) + coef @ coef / (2 * self.g)
        if not abs(value - self.upper) <= 1e-9 * self.upper or not self.claimed <= self.upper:
            raise UnsoundProofError(f"the support's objective is {value:.9g}, but {self.upper:.9g} is claimed")

    def leaves(self) -> Iterator[tuple[float, str]]:
        """Yield the bound and the name of every leaf."""
        log, root = self.log, (-1, -1, -1)
        # Branches that still need a node, by the parent, side and neuron that the node must have.
        waiting = {root: Branch(frozenset(), np.ones(len(self.X), bool), -np.inf, "the root")}
        supports = {tuple(self._columns("support", i).tolist()): i for i in range(len(log["support_end"]))}
        for node, name in enumerate(zip(*(log[part].tolist() for part in ("parent", "side", "neuron")), strict=True)):
            parent = waiting.pop(name, None)
            branch = parent if name == root else self._child(parent, *name[1:])
            if branch is None:
                continue
            branch = self._tightened(branch, node)
            if branch.bound >= self.claimed or not (log["branch"][node] >= 0 or log["enumerated"][node]):
                yield branch.bound, branch.path
            elif log["enumerated"][node]:
                yield from self._enumerated(branch, supports)
            else:
                waiting |= {(node, side, int(log["branch"][node])): branch for side in (0, 1)}
        for (node, side, neuron), branch in waiting.items():
            raise UnsoundProofError(f"{branch.path}: no node {('without', 'with')[side]} {neuron} follows node {node}")

    def _child(self, parent: Branch | None, side: int, neuron: int) -> Branch | None:
        """Return a child of a branch; None if the parent needs no child, or no support belongs to the child."""
        if parent is None:
            return None
        inside, usable = parent.inside, parent.usable.copy()
        if (neuron in inside) != bool(side) and (neuron in inside or not usable[neuron]):
            return None
        usable[neuron] = False
        inside = inside | {neuron} if side else inside
        path = f"{parent.path}, {'with' if side else 'without'} {neuron}"
        holds_supports = len(inside) <= self.k <= len(inside) + int(usable.sum())
        return Branch(inside, usable, parent.bound, path) if holds_supports else None

    def _tightened(self, branch: Branch, node: int) -> Branch:
        """Return a branch with the bound of its certificate, and without the neurons that the bound rules out."""
        if self.log["node_delta"][node] < 0:  # the node has no certificate
            return branch
        columns = self._columns("node", node)
        free, k = np.flatnonzero(branch.usable), self.k - len(branch.inside)
        value, squares = self._bound("node", node, columns, sorted(branch.inside), free)
        order = np.argsort(-squares)
        largest, rest = squares[order[:k]], squares[order[k:]]
        value -= self.g / 2 * fsum(largest)
        inside, usable = branch.inside, branch.usable.copy()
        if k and len(rest):
            with_it, without_it = value + self.g / 2 * (largest[-1] - rest), value + self.g / 2 * (largest - rest[0])
            usable[free[order[k:]][with_it >= self.claimed]] = False
            must = free[order[:k]][without_it >= self.claimed]
            inside, usable[must] = inside | set(must.tolist()), False
            ruled_out = np.concatenate([with_it, without_it])
            self.smallest_ruled_out = min(
                self.smallest_ruled_out, ruled_out[ruled_out >= self.claimed].min(initial=np.inf)
            )
        return Branch(inside, usable, max(branch.bound, value), branch.path)

    def _enumerated(self, branch: Branch, supports: dict[tuple[int, ...], int]) -> Iterator[tuple[float, str]]:
        """Yield the bound and the name of every support of a branch."""
        usable, k = np.flatnonzero(branch.usable).tolist(), self.k - len(branch.inside)
        if comb(len(usable), k) > MOST_SUPPORTS:
            raise UnsoundProofError(f"{branch.path} leaves {comb(len(usable), k)} supports")
        for further in combinations(usable, k):
            support = tuple(sorted([*branch.inside, *further]))
            if support not in supports:
                raise UnsoundProofError(f"{branch.path}: support {support} has no certificate")
            value, _ = self._bound("support", supports[support], np.array(support), list(support), np.empty(0, int))
            yield max(branch.bound, value), f"{branch.path}, support {support}"

    def _span(self, kind: str, i: int) -> slice:
        ends = self.log[f"{kind}_end"]
        return slice(int(ends[i - 1]) if i else 0, int(ends[i]))

    def _columns(self, kind: str, i: int) -> NDArray:
        return self.log[f"{kind}_columns"][self._span(kind, i)]

    def _bound(self, kind: str, i: int, columns: NDArray, inside: list[int], free: NDArray) -> tuple[float, Floats]:
        """Return the bound without free neurons, and 2 / g times the amount by which each free neuron can lower it."""
        coef, delta = self.log[f"{kind}_coef"][self._span(kind, i)], float(self.log[f"{kind}_delta"][i])
        v = self._duals(coef @ self.X[columns] + float(self.log[f"{kind}_intercept"][i]), delta)
        length = np.sqrt(v @ v)
        squares = (np.abs(self.X[free] @ v) + self.gamma * self.norms[free] * length) ** 2
        inside_squares = (np.abs(self.X[inside] @ v) + self.gamma * self.norms[inside] * length) ** 2
        terms = np.concatenate([*self._conjugate(v), -self.g / 2 * inside_squares])
        value = fsum(terms) - 8 * UNIT * fsum(np.abs(terms)) - self.largest_intercept * abs(fsum(v))
        return value - 1e-12 * self.upper, squares

    def _duals(self, f: Floats, delta: float) -> Floats:
        """Return duals in the domain of the conjugate whose sum is zero, except for rounding."""
        if self.loss == "squared":
            v = self.w * (self.y - f)
            return v - self.w * (fsum(v) / fsum(self.w))
        if self.loss == "hinge":
            v = self.y * self.w * np.clip((1 - self.y * f) / delta, 0, 1)
        else:
            v = self.y * self.w * np.exp(-np.logaddexp(0, self.y * f))
        positive, negative = fsum(v[v > 0]), -fsum(v[v < 0])
        least = min(positive, negative)
        scale = np.where(v > 0, least / max(positive, 1e-300), least / max(negative, 1e-300))
        return v * np.minimum(scale, 1)

    def _conjugate(self, v: Floats) -> tuple[Floats, ...]:
        """Return the terms whose sum is the part of the bound that does not depend on the support."""
        if self.loss == "squared":
            return v * self.y, -(v**2) / (2 * self.w)
        if self.loss == "hinge":
            return (self.y * v,)
        t = np.clip(np.abs(v) / self.w, 1e-300, 1 - UNIT)
        return -self.w * t * np.log(t), -self.w * (1 - t) * np.log1p(-t)
