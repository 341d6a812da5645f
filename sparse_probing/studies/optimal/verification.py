"""Proofs of a study, checked against the activations they are about."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import numpy as np

from sparse_probing.config import ProbingConfig
from sparse_probing.probes.optimal.proofs.verify import Verdict, verify
from sparse_probing.probes.optimal.result import relative_gap
from sparse_probing.studies.base.problem import Problem
from sparse_probing.studies.optimal.candidates import Candidates

AGREEMENT = 1e-8
"""Relative difference up to which a row says what its proof says."""


def verify_row(config: ProbingConfig, problem: Problem, row: Mapping[str, Any]) -> Verdict:
    """Prove the lower bound of a row again.

    Parameters
    ----------
    config : ProbingConfig
        Of the run.
    problem : Problem
        The one that the row's probe solves.
    row : mapping
        Columns of :data:`sparse_probing.results.COLUMNS`, with a proof.
    """
    listed = row["candidates"]
    columns = problem.columns(None if listed is None else np.asarray(listed, np.int64))
    among = Candidates(config, problem, columns)
    sparse = among.sparse_problem(row["ridge_multiplier"])
    verdict = verify(sparse.columns, sparse.y, sparse.weight, row["proof"])
    if not verdict.proved:
        return verdict
    claimed = np.load(io.BytesIO(row["proof"]), allow_pickle=False)
    same_support = np.array_equal(columns.neurons[claimed["support"]], np.asarray(row["support"]))
    said = [float(claimed[name]) for name in ("ridge", "upper_bound", "lower_bound")]
    numbers = np.allclose(said, [sparse.ridge, row["objective"], row["lower_bound"]], rtol=AGREEMENT, atol=0)
    numbers &= np.isclose(row["optimality_gap"], relative_gap(*said[1:]), rtol=0, atol=AGREEMENT)
    if not (same_support and numbers and str(claimed["loss"]) == row["loss"]):
        return Verdict(False, "The proof is sound, but of another probe than the row's.")
    if row["proof_status"] == "proved" and row["optimality_gap"] > config.optimal.osp_gap + AGREEMENT:
        return Verdict(False, f"The row says proved, but its gap is {row['optimality_gap']:.3g}.")
    return verdict
