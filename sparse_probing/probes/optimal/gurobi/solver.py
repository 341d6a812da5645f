"""The paper's solver: outer approximation with Gurobi.

Bertsimas, Pauphilet & Van Parys, 'Sparse classification: a scalable discrete optimization perspective', Machine
Learning 110, 2021. Supports are fitted outside Gurobi and weak neurons are screened at the root, so that Gurobi's
model stays linear and small: the licence of its package allows 1,999 neurons and any number of rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from probing_datasets.foundation.errors import ProbeError, SolverUnavailableError
from sparse_probing.probes.optimal.branch_and_bound.incumbent import Incumbent
from sparse_probing.probes.optimal.branch_and_bound.local_search import SupportFits
from sparse_probing.probes.optimal.branch_and_bound.root import first_support, solve_root
from sparse_probing.probes.optimal.equal_neurons import replaceable
from sparse_probing.probes.optimal.gurobi.master_problem import ANOTHER_SOLVER, Master
from sparse_probing.probes.optimal.problem import SparseProblem, Support, as_support
from sparse_probing.probes.optimal.result import MARGIN, Clock, Limits, OptimalFit, Status, relative_gap

NO_LICENCE = 10009
"""Number of Gurobi's error for a missing or invalid licence."""


def gurobi(
    problem: SparseProblem,
    k: int,
    limits: Limits,
    starts: Sequence[Support] = (),
    seed: int = 0,
    proof: bool = False,
    tolerance: float | None = None,
    verbose: bool = False,
) -> OptimalFit:
    """Return the best support of k neurons, and a lower bound for all supports of k neurons.

    Parameters
    ----------
    problem : SparseProblem
    k : int
        Between 1 and the width of the problem.
    limits : Limits
        Nodes are those of the master problem.
    starts : supports, optional
        Known good supports of at most k neurons, such as the best support of k - 1.
    seed : int
        Seed of Gurobi.
    proof, tolerance
        Options that only ``branch_and_bound`` supports.
    verbose : bool
        Whether Gurobi writes its log to the standard output.

    Raises
    ------
    SolverUnavailableError
        If gurobipy is not installed, has no valid licence, or has a licence for smaller problems.
    ProbeError
        If k or a start is out of range, a proof or near-optimal supports are requested, or Gurobi fails.
    """
    if proof or tolerance is not None:
        missing = "writes no proof" if proof else "does not list near supports"
        raise ProbeError(f"Gurobi {missing}. Do not request it, or {ANOTHER_SOLVER}.")
    clock, fits = Clock(limits), SupportFits(problem)
    with _empty_model(verbose) as model:
        # The incumbent and the root are those of branch and bound.
        support = first_support(fits, k, starts, clock)
        incumbent = Incumbent(fits.fit(support), limits.gap, seconds=clock.seconds)
        root = solve_root(fits, k, incumbent, clock)
        master = None
        if root.bound.value < incumbent.target:
            master = Master(model, fits, k, incumbent, root, clock, seed)
            master.solve()

        fit = incumbent.refit(problem)
        bound = root.bound.value - MARGIN * fit.objective
        if master is not None:
            bound = max(bound, master.lower_bound)
        bound = min(bound, fit.objective)
        status: Status = "proved"
        if relative_gap(fit.objective, bound) > limits.gap * (1 + 1e-5):
            interrupted = limits.interrupted() or (master is not None and master.was_interrupted)
            status = "interrupted" if interrupted else "gap"
        return OptimalFit(
            support=as_support(fit.support),
            coef=fit.coef,
            intercept=fit.intercept,
            objective=fit.objective,
            lower_bound=bound,
            status=status,
            solver="gurobi",
            nodes=0 if master is None else int(master.model.NodeCount),
            n_kept=0 if master is None else len(master.neurons),
            root_gap=relative_gap(fit.objective, root.bound.value),
            seconds=clock.seconds,
            seconds_to_support=incumbent.seconds,
            intercepts=fit.intercepts,
            replaceable=replaceable(problem, fit),
        )


@contextmanager
def _empty_model(verbose: bool) -> Iterator[Any]:
    """Yield a model of Gurobi; raise an error that names the remedy if Gurobi is not available or fails."""
    try:
        import gurobipy
    except ImportError as error:
        raise SolverUnavailableError(
            f"Gurobi's package gurobipy cannot be imported ({error}). Install it with "
            f"pip install 'sparse-probing[gurobi]', or {ANOTHER_SOLVER}."
        ) from error
    try:
        with gurobipy.Env(params={"OutputFlag": int(verbose)}) as env, gurobipy.Model(env=env) as model:
            yield model
    except gurobipy.GurobiError as error:
        if error.errno == NO_LICENCE:
            raise SolverUnavailableError(
                f"Gurobi has no valid licence: {error}. Renew it, or remove its file (the newest gurobipy solves "
                f"small problems without one), or {ANOTHER_SOLVER}."
            ) from error
        raise ProbeError(
            f"Gurobi failed: {error} (error {error.errno}). Fix the cause, or {ANOTHER_SOLVER}."
        ) from error
