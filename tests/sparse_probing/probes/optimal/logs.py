"""Logs of proofs: reading, writing, taking parts out of them, and one to tamper with."""

from __future__ import annotations

import io
from functools import cache
from typing import Any

import numpy as np
import pytest

from sparse_probing.probes.optimal.branch_and_bound import tree
from sparse_probing.probes.optimal.branch_and_bound.solver import branch_and_bound
from sparse_probing.probes.optimal.problem import SparseProblem
from sparse_probing.probes.optimal.proofs.verify import Verdict, verify
from sparse_probing.probes.optimal.result import Limits
from tests.sparse_probing.probes.optimal.instances import hard
from tests.sparse_probing.probes.optimal.reference import brute_force

Log = dict[str, Any]
WIDTH, K = 6, 2
"""Of the problem whose proof is tampered with."""
CLAIM = ("loss", "ridge", "k", "support", "coef", "intercept", "upper_bound", "lower_bound")


def checked(problem: SparseProblem, proof: bytes | None) -> Verdict:
    assert proof is not None
    with np.errstate(all="ignore"):
        return verify(problem.columns, problem.y, problem.weight, proof)


def opened(proof: bytes | None) -> Log:
    assert proof is not None
    return dict(np.load(io.BytesIO(proof), allow_pickle=False))


def closed(log: Log) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **log)
    return buffer.getvalue()


def without_node(log: Log, node: int) -> Log:
    """Return a log without a node; later ones move up, and their parents' numbers with them."""
    out = dict(log)
    keep = np.arange(len(log["parent"])) != node
    sizes = np.diff(log["node_end"], prepend=0)
    entries = np.repeat(keep, sizes)
    for name in ("parent", "side", "neuron", "branch", "enumerated", "node_intercept", "node_delta"):
        out[name] = log[name][keep]
    out["node_columns"], out["node_coef"] = log["node_columns"][entries], log["node_coef"][entries]
    out["node_end"] = np.cumsum(sizes[keep])
    out["parent"] = out["parent"] - (out["parent"] > node)
    return out


def without_support(log: Log, support: int) -> Log:
    out = dict(log)
    keep = np.arange(len(log["support_end"])) != support
    sizes = np.diff(log["support_end"], prepend=0)
    entries = np.repeat(keep, sizes)
    out["support_columns"], out["support_coef"] = log["support_columns"][entries], log["support_coef"][entries]
    out["support_intercept"], out["support_delta"] = log["support_intercept"][keep], log["support_delta"][keep]
    out["support_end"] = np.cumsum(sizes[keep])
    return out


def with_bounds(log: Log, **bounds: float) -> Log:
    return log | {name: np.float64(value) for name, value in bounds.items()}


@cache
def sample(loss) -> tuple[SparseProblem, bytes, float]:
    """A small problem, a proof with branches and with supports tried one by one, none for nothing, and the optimum."""
    problem = hard(loss, d=WIDTH, n=40, seed=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tree, "MOST_PAIRS", 0)
        fit = branch_and_bound(problem, K, Limits(gap=1e-5), proof=True)
    assert fit.proof is not None
    return problem, fit.proof, min(brute_force(problem, K).values())
