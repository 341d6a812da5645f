"""Proof logs: read, write and change them; one to tamper with, and one that no solver wrote."""

from __future__ import annotations

import io
from functools import cache
from typing import Any

import numpy as np
import pytest

from sparse_probing.probes.optimal.branch_and_bound import solver
from sparse_probing.probes.optimal.branch_and_bound.solver import branch_and_bound
from sparse_probing.probes.optimal.problem import SparseProblem
from sparse_probing.probes.optimal.proofs.verify import Verdict, verify
from sparse_probing.probes.optimal.result import Limits
from tests.builders.optimal.instances import hard
from tests.builders.optimal.reference import brute_force, objective

Log = dict[str, Any]
WIDTH, K = 6, 2
"""Size of the problem whose proof is tampered with."""
CLAIM = ("loss", "ridge", "k", "support", "coef", "intercept", "upper_bound", "lower_bound")
"""Arrays of a log that state what it proves."""


def check_proof(problem: SparseProblem, proof: bytes | None) -> Verdict:
    """Return the verdict on a proof, without the warnings of numpy."""
    assert proof is not None
    with np.errstate(all="ignore"):
        return verify(problem.columns, problem.y, problem.weight, proof)


def read_log(proof: bytes | None) -> Log:
    """Return the arrays of a proof."""
    assert proof is not None
    return dict(np.load(io.BytesIO(proof), allow_pickle=False))


def write_log(log: Log) -> bytes:
    """Return the proof of these arrays."""
    buffer = io.BytesIO()
    np.savez(buffer, **log)
    return buffer.getvalue()


def without_node(log: Log, node: int) -> Log:
    """Return a log without a node; the numbers of later nodes, also as parents, are one less."""
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
    """Return a log without the certificate of a support."""
    out = dict(log)
    keep = np.arange(len(log["support_end"])) != support
    sizes = np.diff(log["support_end"], prepend=0)
    entries = np.repeat(keep, sizes)
    out["support_columns"], out["support_coef"] = log["support_columns"][entries], log["support_coef"][entries]
    out["support_intercept"], out["support_delta"] = log["support_intercept"][keep], log["support_delta"][keep]
    out["support_end"] = np.cumsum(sizes[keep])
    return out


def with_bounds(log: Log, **bounds: float) -> Log:
    """Return a log that claims other bounds."""
    return log | {name: np.float64(value) for name, value in bounds.items()}


@cache
def sample_proof(loss) -> tuple[SparseProblem, bytes, float]:
    """Return a small problem, a proof with branches and enumerated supports, all of them needed, and the optimum."""
    problem = hard(loss, d=WIDTH, n=40, seed=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(solver, "MOST_PAIRS", 0)
        fit = branch_and_bound(problem, K, Limits(gap=1e-5), proof=True)
    assert fit.proof is not None
    return problem, fit.proof, min(brute_force(problem, K).values())


def with_worse_support(problem: SparseProblem, log: Log) -> Log:
    """Return a log that claims a support that is not the best, with its true objective."""
    other = np.setdiff1d(np.arange(problem.width), log["support"])[:K]
    coef, f = np.zeros(K), np.full(problem.n_rows, float(log["intercept"]))
    values = {
        "hinge": np.maximum(0, 1 - problem.y * f),
        "logistic": np.logaddexp(0, -problem.y * f),
        "squared": (problem.y - f) ** 2 / 2,
    }
    return log | {"support": other, "coef": coef, "upper_bound": problem.weight @ values[problem.loss]}


def enumerated_proof(problem: SparseProblem, k: int, claimed: float, **changes: Any) -> bytes:
    """Return a proof of one node that enumerates all supports, each with a certificate of zero coefficients."""
    supports = list(brute_force(problem, k))
    coef = np.zeros(k)
    log = {
        "format": 1,
        "loss": problem.loss,
        "ridge": problem.ridge,
        "k": k,
        "support": np.array(supports[0]),
        "coef": coef,
        "intercept": 0.0,
        "upper_bound": objective(problem, supports[0], coef, 0.0),
        "lower_bound": claimed,
        "parent": np.array([-1]),
        "side": np.array([-1]),
        "neuron": np.array([-1]),
        "branch": np.array([-1]),
        "enumerated": np.array([True]),
        "node_end": np.array([0]),
        "node_columns": np.empty(0, int),
        "node_coef": np.empty(0),
        "node_intercept": np.zeros(1),
        "node_delta": np.array([-1.0]),
        "support_end": np.cumsum([k] * len(supports)),
        "support_columns": np.concatenate(supports),
        "support_coef": np.zeros(k * len(supports)),
        "support_intercept": np.zeros(len(supports)),
        "support_delta": np.ones(len(supports)),
    }
    return write_log(log | changes)
