"""The registry of solvers, by the value of ``--osp_solver``, and the function that runs one of them."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Sequence

import numpy as np

from sparse_probing.config import SolverName
from sparse_probing.probes.optimal.branch_and_bound.solver import branch_and_bound
from sparse_probing.probes.optimal.gurobi.solver import gurobi
from sparse_probing.probes.optimal.problem import SparseProblem, Support, ridge_of, scaled_columns
from sparse_probing.probes.optimal.result import Limits, OptimalFit

logger = logging.getLogger(__name__)

SOLVERS: dict[str, Callable[..., OptimalFit]] = {"branch_and_bound": branch_and_bound, "gurobi": gurobi}

AUTOMATIC = "branch_and_bound"
"""The solver of ``auto``: never clearly slower, and often much faster (benchmarks/optimal_against_gurobi.py)."""


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
    """Find the best support of k neurons, and bound all other supports from below.

    Parameters
    ----------
    problem : SparseProblem
    k : int
        Between 1 and the width of the problem.
    limits : Limits
        Time, gap and interruption.
    solver : {"auto", "branch_and_bound", "gurobi"}
        The result names the solver that was used.
    starts : supports, optional
        Known good supports of at most k neurons.
    seed : int
        Seed of the random restarts, or of Gurobi.
    proof : bool
        Return a log for :func:`sparse_probing.probes.optimal.proofs.verify.verify` (only branch_and_bound).
    tolerance : float, optional
        List all supports whose objective is larger by at most this share (only branch_and_bound).
    verbose : bool
        Show the log of Gurobi.

    Raises
    ------
    ProbeError
        If k is out of range, or the solver does not support an option.
    """
    compile_once()
    name = AUTOMATIC if solver == "auto" else solver
    if solver == "auto":
        logger.info("auto: %s, %d of %d neurons", name, k, problem.width)
    options = {"verbose": verbose} if name == "gurobi" else {}
    return SOLVERS[name](problem, k, limits, starts, seed, proof=proof, tolerance=tolerance, **options)


@functools.cache
def compile_once() -> None:
    """Compile the solver, or load its compiled code, on a small problem, so that no search pays for it."""
    rng = np.random.default_rng(0)
    columns, _ = scaled_columns(rng.standard_normal((60, 12)))
    y = np.where(rng.random(60) < 0.5, 1.0, -1.0)
    problem = SparseProblem(columns, y, np.ones(60), ridge_of(60, 10.0))
    branch_and_bound(problem, 4, Limits(nodes=8))
    branch_and_bound(problem.restricted(np.arange(4)), 2, Limits(nodes=8))
