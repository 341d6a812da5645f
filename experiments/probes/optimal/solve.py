"""The solvers, by the value of ``--osp_solver``."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from experiments.config import SolverName
from experiments.probes.optimal.branch_and_bound import branch_and_bound
from experiments.probes.optimal.problem import SparseProblem
from experiments.probes.optimal.result import Limits, OptimalFit
from experiments.probes.optimal.search import Support

logger = logging.getLogger(__name__)

SOLVERS: dict[str, Callable[..., OptimalFit]] = {"branch_and_bound": branch_and_bound}

AUTOMATIC = "branch_and_bound"
"""What ``auto`` takes: it was the faster one on every instance measured (benchmarks/optimal_against_gurobi.py)."""


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
        Keep a log for :func:`experiments.probes.optimal.verify.verify` (branch_and_bound).
    tolerance : float, optional
        List all supports whose objective is larger by this share at most (branch_and_bound).
    verbose : bool
        Show what Gurobi writes.

    Raises
    ------
    ProbeError
        When k is out of range, or the solver cannot do what is asked.
    """
    name = AUTOMATIC if solver == "auto" else solver
    if solver == "auto":
        logger.info("auto: %s, %d of %d neurons", name, k, problem.width)
    further = {"verbose": verbose} if name == "gurobi" else {}
    return SOLVERS[name](problem, k, limits, starts, seed, proof=proof, tolerance=tolerance, **further)
