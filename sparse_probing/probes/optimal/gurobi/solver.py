"""The paper's solver: outer approximation with Gurobi.

Bertsimas, Pauphilet & Van Parys, 'Sparse classification: a scalable discrete optimization perspective', Machine
Learning 110, 2021. Supports are fitted outside Gurobi and weak neurons are screened at the root, so that its model
stays linear and small: the licence that comes with its package takes 1,999 neurons and any number of rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from probing_datasets.foundation.errors import ProbeError, SolverUnavailableError
from sparse_probing.probes.optimal.branch_and_bound.local_search import Support, SupportFits, as_support
from sparse_probing.probes.optimal.branch_and_bound.relaxation import Relaxation
from sparse_probing.probes.optimal.branch_and_bound.root import checked_starts, first_support, search_near, solve_root
from sparse_probing.probes.optimal.branch_and_bound.tree import Best
from sparse_probing.probes.optimal.gurobi.master_problem import ANOTHER_SOLVER, Master
from sparse_probing.probes.optimal.problem import SparseProblem
from sparse_probing.probes.optimal.result import MARGIN, Clock, Limits, OptimalFit, Status, relative_gap
from sparse_probing.probes.optimal.support_fit import FINAL_TOLERANCE, fit_support

NO_LICENCE = 10009
"""Number of Gurobi's error."""


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
    """Return the best support of k neurons, and a lower bound for all of them.

    Parameters
    ----------
    problem : SparseProblem
    k : int
        Between 1 and the width.
    limits : Limits
        Nodes are those of the master problem.
    starts : supports, optional
        Known good ones of at most k neurons, such as the best of k - 1.
    seed : int
        Of Gurobi.
    proof, tolerance
        As for ``branch_and_bound``, which alone can do what they ask for.
    verbose : bool
        Whether Gurobi writes its log to the standard output.

    Raises
    ------
    SolverUnavailableError
        If gurobipy is not installed, has no valid licence, or has one for smaller problems.
    ProbeError
        If k or a start is out of range, a proof or near supports are asked for, or Gurobi fails.
    """
    if proof or tolerance is not None:
        wanted = "writes no proof" if proof else "lists no near supports"
        raise ProbeError(f"Gurobi {wanted}. Leave it out, or {ANOTHER_SOLVER}.")
    clock, fits = Clock(limits), SupportFits(problem)
    with _empty_model(verbose) as model:
        support = first_support(fits, k, checked_starts(problem, k, starts), clock)
        best = Best(fits.fit(support), limits.gap, seconds=clock.seconds)
        root = solve_root(problem, k, best, fits)
        search_near(root, k, best, fits, clock)
        master = None
        if root.bound.value < best.target:
            master = Master(model, fits, k, best, root, clock, seed)
            master.solve()
        return _result(problem, best, clock, root, master)


@contextmanager
def _empty_model(verbose: bool) -> Iterator[Any]:
    """Yield a model of Gurobi, and tell what to do when there is none or it fails."""
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
                f"Gurobi has no valid licence: {error}. Renew it, or remove its file (the newest gurobipy alone "
                f"solves small problems), or {ANOTHER_SOLVER}."
            ) from error
        raise ProbeError(f"Gurobi failed: {error} (error {error.errno}). Mend that, or {ANOTHER_SOLVER}.") from error


def _result(problem: SparseProblem, best: Best, clock: Clock, root: Relaxation, master: Master | None) -> OptimalFit:
    again = fit_support(problem, best.fit.support, tolerance=FINAL_TOLERANCE)
    fit = min((again, best.fit), key=lambda f: f.objective)
    bound = root.bound.value - MARGIN * fit.objective
    if master is not None:
        bound = max(bound, master.lower_bound)
    bound = min(bound, fit.objective)
    return OptimalFit(
        support=as_support(fit.support),
        coef=fit.coef,
        intercept=fit.intercept,
        objective=fit.objective,
        lower_bound=bound,
        status=_status(master, relative_gap(fit.objective, bound), clock.limits),
        solver="gurobi",
        nodes=0 if master is None else int(master.model.NodeCount),
        kept=0 if master is None else len(master.kept),
        root_gap=relative_gap(fit.objective, root.bound.value),
        seconds=clock.seconds,
        found_after=best.seconds,
    )


def _status(master: Master | None, gap: float, limits: Limits) -> Status:
    if gap <= limits.gap * (1 + 1e-6):
        return "proved"
    return "interrupted" if limits.interrupted() or (master is not None and master.was_interrupted) else "gap"
