"""Check the proofs of a study against the activations that they are about."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import numpy as np

from sparse_probing.config import ProbingConfig
from sparse_probing.probes.optimal.proofs.verify import Verdict, verify
from sparse_probing.probes.optimal.result import relative_gap
from sparse_probing.studies.base.feature_data import FeatureData
from sparse_probing.studies.optimal.candidates import Candidates

AGREEMENT = 1e-8
"""Relative difference up to which a number of a row agrees with its proof."""


def verify_row(config: ProbingConfig, data: FeatureData, row: Mapping[str, Any]) -> Verdict:
    """Prove the lower bound of a row again, and compare the row with its proof.

    Parameters
    ----------
    config : ProbingConfig
        Of the run.
    data : FeatureData
        What the row's probe was fitted to.
    row : mapping
        Columns of :data:`sparse_probing.studies.base.result_rows.COLUMNS`, with a proof.
    """
    listed = row["candidates"]
    neurons = data.select(None if listed is None else np.asarray(listed, np.int64))
    sparse = Candidates(config, data, neurons).sparse_problem(row["ridge_multiplier"])
    verdict = verify(sparse.columns, sparse.y, sparse.weight, row["proof"])
    if not verdict.proved:
        return verdict
    claims = np.load(io.BytesIO(row["proof"]), allow_pickle=False)
    ridge, upper_bound, lower_bound = (float(claims[name]) for name in ("ridge", "upper_bound", "lower_bound"))
    claimed, reported = [ridge, upper_bound, lower_bound], [sparse.ridge, row["objective"], row["lower_bound"]]
    agrees = (
        np.array_equal(neurons.indices[claims["support"]], np.asarray(row["support"]))
        and str(claims["loss"]) == row["loss"]
        and np.allclose(claimed, reported, rtol=AGREEMENT, atol=0)
        and np.isclose(row["optimality_gap"], relative_gap(upper_bound, lower_bound), rtol=0, atol=AGREEMENT)
    )
    if not agrees:
        return Verdict(False, "The proof is sound, but of another probe than the row's.")
    if row["proof_status"] == "proved" and row["optimality_gap"] > config.optimal.osp_gap + AGREEMENT:
        return Verdict(False, f"The row says proved, but its gap is {row['optimality_gap']:.3g}.")
    return verdict
