"""The solvers, by the value of ``--osp_solver``."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Sequence

import numpy as np

from sparse_probing.config import SolverName
from sparse_probing.probes.optimal.branch_and_bound.local_search import Support
from sparse_probing.probes.optimal.branch_and_bound.solver import branch_and_bound
from sparse_probing.probes.optimal.gurobi.solver import gurobi
from sparse_probing.probes.optimal.problem import SparseProblem, ridge_of, scaled_columns
from sparse_probing.probes.optimal.result import Limits, OptimalFit

logger = logging.getLogger(__name__)

SOLVERS: dict[str, Callable[..., OptimalFit]] = {"branch_and_bound": branch_and_bound, "gurobi": gurobi}

AUTOMATIC = "branch_and_bound"
"""What ``auto`` takes: it was never clearly slower, and often much faster (benchmarks/optimal_against_gurobi.py)."""


def solve(
    problem: SparseProblem,
    k: int,
    limits: Limits,
    solver: SolverName = "auto",
    starts: Sequence[Support] = (),
    seed: int = 0,
    proof: bool = False,
    tolerance: float | None = None,
    verbose: bool = False,
) -> OptimalFit:
    """Find the best support of k neurons, and bound all others.

    Parameters
    ----------
    problem : SparseProblem
    k : int
        Between 1 and the width of the problem.
    limits : Limits
        Time, gap and interruption.
    solver : {"auto", "branch_and_bound", "gurobi"}
        The one that was taken stands in the result.
    starts : supports, optional
        Known good ones of at most k neurons.
    seed : int
    proof : bool
        Keep a log for :func:`sparse_probing.probes.optimal.proofs.verify.verify` (branch_and_bound).
    tolerance : float, optional
        List all supports whose objective is larger by this share at most (branch_and_bound).
    verbose : bool
        Show what Gurobi writes.

    Raises
    ------
    ProbeError
        When k is out of range, or the solver cannot do what is asked.
    """
    compile_once()
    name = AUTOMATIC if solver == "auto" else solver
    if solver == "auto":
        logger.info("auto: %s, %d of %d neurons", name, k, problem.width)
    further = {"verbose": verbose} if name == "gurobi" else {}
    return SOLVERS[name](problem, k, limits, starts, seed, proof=proof, tolerance=tolerance, **further)


@functools.cache
def compile_once() -> None:
    """Compile what is compiled, or load it, on a small problem: that is not the time of anybody's search."""
    rng = np.random.default_rng(0)
    columns, _ = scaled_columns(rng.standard_normal((60, 12)))
    y = np.where(rng.random(60) < 0.5, 1.0, -1.0)
    problem = SparseProblem(columns, y, np.ones(60), ridge_of(60, 10.0))
    branch_and_bound(problem, 4, Limits(nodes=8))
    branch_and_bound(problem.restricted(np.arange(4)), 2, Limits(nodes=8))
