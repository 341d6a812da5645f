"""The paper's solver: outer approximation, by a linear master problem in Gurobi that learns from lazy cuts.

The master problem chooses a support by binary variables z, and knows objectives from below alone::

    minimise eta  subject to  sum_j z_j = k  and  eta >= sum_i dual_value(v_i) - g / 2 * sum_j (x_j . v)^2 z_j

with one cut for each vector of balanced duals v that was met: those of the relaxed problem, and of every
support that Gurobi came to (Bertsimas, Pauphilet & Van Parys, 'Sparse classification: a scalable discrete
optimization perspective', Machine Learning 110, 2021). Supports are fitted outside Gurobi, so that its model
stays linear and as small as the neurons that screening leaves: the licence that comes with its package takes
1,999 of them.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from experiments.probes.inputs import Booleans, Floats, Integers
from experiments.probes.optimal.bounds import exact_correlations, screen
from experiments.probes.optimal.branch_and_bound import _first_support, _root, _search_near
from experiments.probes.optimal.losses import all_points, balanced, dual_value
from experiments.probes.optimal.problem import SparseProblem
from experiments.probes.optimal.relaxation import Relaxation
from experiments.probes.optimal.result import MARGIN, Clock, Limits, OptimalFit, Status
from experiments.probes.optimal.search import Support, SupportFits, as_support
from experiments.probes.optimal.support_fit import FINAL_TOLERANCE, TOLERANCE, Certificate, fit_support
from experiments.probes.optimal.tree import Best
from probing_datasets.foundation.errors import ProbeError

MASTER_TOLERANCE = 1e-9
"""Of Gurobi, for rows, reduced costs and integers: the smallest that it takes."""
ALLOWANCE = 5 * MASTER_TOLERANCE
"""Taken from Gurobi's bound for every variable, relative to the objective: each may be off by the tolerance."""
NO_LICENCE, SIZE_LIMIT = 10009, 10010
"""Numbers of Gurobi's errors."""
ANOTHER_SOLVER = "take another solver: --osp_solver branch_and_bound"


class SolverUnavailableError(ProbeError):
    """A solver is not installed, or its licence is missing or does not take the problem."""


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
        If a proof or near supports are asked for, or Gurobi fails.
    """
    if proof or tolerance is not None:
        wanted = "writes no proof" if proof else "lists no near supports"
        raise ProbeError(f"Gurobi {wanted}. Leave it out, or {ANOTHER_SOLVER}.")
    clock, fits = Clock(limits), SupportFits(problem)
    with _empty_model(verbose) as model:
        best = Best(fits.fit(_first_support(fits, k, starts, clock)), limits.gap, seconds=clock.seconds)
        root = _root(problem, k, best, fits)
        _search_near(root, k, best, fits, clock)
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
                f"Gurobi has no valid licence: {error}. Mend or remove the licence file (without any, small "
                f"problems can be solved), or {ANOTHER_SOLVER}."
            ) from error
        raise ProbeError(f"Gurobi failed: {error} (error {error.errno}). Mend it, or {ANOTHER_SOLVER}.") from error


@dataclass(frozen=True, eq=False)
class Cut:
    """A lower bound of the objective of every support, linear in z."""

    constant: float
    slopes: Floats
    """(kept,) what each neuron can take from it."""

    def at(self, z: Any) -> Any:
        """Return the bound at numbers (kept,) or at variables of Gurobi."""
        return self.constant - self.slopes @ z


class Master:
    """The linear problem that chooses supports; as Gurobi's callback it fits them, and cuts them off.

    Objectives are told to Gurobi in units of the first one, because its tolerances are absolute.
    """

    def __init__(
        self, model: Any, fits: SupportFits, k: int, best: Best, root: Relaxation, clock: Clock, seed: int
    ) -> None:
        from gurobipy import GRB

        self.model, self.codes = model, GRB
        self.fits, self.best, self.clock, self.unit = fits, best, clock, best.fit.objective
        self.error: BaseException | None = None
        self.kept, must = _screened(root, fits.problem, k, best)
        self.z = model.addMVar(len(self.kept), lb=must.astype(float), vtype=GRB.BINARY)
        self.eta = model.addVar()
        model.setObjective(self.eta)
        model.addConstr(self.z.sum() == k)
        model.addConstr(self.eta >= self.cut(root.certificate).at(self.z))
        self.z.Start = self._incumbent()
        self._set_parameters(seed)

    @property
    def margin(self) -> float:
        """By how much Gurobi's bound may be too high, in units."""
        return ALLOWANCE * (len(self.kept) + 1)

    @property
    def lower_bound(self) -> float:
        """No support that screening leaves has a smaller objective."""
        return float(self.model.ObjBound - self.margin) * self.unit

    @property
    def was_interrupted(self) -> bool:
        """Whether the search ended at someone's request."""
        return self.model.Status == self.codes.INTERRUPTED

    def _set_parameters(self, seed: int) -> None:
        limits = self.clock.limits
        self.model.setParam("LazyConstraints", 1)
        self.model.setParam("Threads", 1)
        self.model.setParam("Seed", seed % 2_000_000_000)
        self.model.setParam("NodeLimit", limits.nodes)
        self.model.setParam("MIPGap", max(0.0, limits.gap - self.margin - 2 * TOLERANCE))
        for name in ("FeasibilityTol", "OptimalityTol", "IntFeasTol"):
            self.model.setParam(name, MASTER_TOLERANCE)

    def solve(self) -> None:
        """Improve bound and support until the gap is closed, or time, nodes or patience end."""
        from gurobipy import GurobiError

        self.model.setParam("TimeLimit", max(0.0, self.clock.limits.seconds - self.clock.seconds))
        try:
            self.model.optimize(self)
        except GurobiError as error:
            if error.errno != SIZE_LIMIT:
                raise
            raise SolverUnavailableError(
                f"Gurobi's size-limited licence takes no problem of {len(self.kept):,} neurons, which screening "
                f"leaves of {self.fits.problem.width:,}. Get a full licence, let fewer neurons be chosen from "
                f"(--osp_heuristic_filter_size), or {ANOTHER_SOLVER}."
            ) from error
        if self.error is not None:
            raise self.error
        if self.was_interrupted and not self.clock.limits.interrupted():
            signal.raise_signal(signal.SIGINT)  # Gurobi keeps Ctrl-C to itself

    def __call__(self, model: Any, where: int) -> None:
        """Answer Gurobi, which ignores errors that are raised here."""
        try:
            if self.clock.limits.interrupted():
                model.terminate()
            elif where == self.codes.Callback.MIPSOL:
                self._learn(model)
        except BaseException as error:
            self.error = error
            model.terminate()

    def _learn(self, model: Any) -> None:
        """Fit the support that Gurobi came to, and tell it what that shows; offer a better one as a solution."""
        support = self.kept[model.cbGetSolution(self.z) > 0.5]
        fit, known = self.fits.fit(as_support(support)), self.best.fit
        model.cbLazy(self.eta >= self.cut(fit.certificate).at(self.z))
        self.best.offer(fit, self.clock.seconds)
        if self.best.fit is not known:
            model.cbSetSolution(self.z, self._incumbent())
            model.cbSetSolution(self.eta, self.best.fit.objective / self.unit)

    def _incumbent(self) -> Floats:
        return np.isin(self.kept, self.best.fit.support).astype(float)

    def cut(self, certificate: Certificate) -> Cut:
        """Return the cut of a certificate's duals."""
        problem = self.fits.problem
        duals = _duals(problem, certificate)
        constant = dual_value(problem.code, duals, problem.y, problem.weight)
        slopes = problem.ridge / 2 * exact_correlations(problem.columns, self.kept, duals) ** 2
        return Cut(constant / self.unit, slopes / self.unit)


def _screened(root: Relaxation, problem: SparseProblem, k: int, best: Best) -> tuple[Integers, Booleans]:
    """Return the neurons of supports as good as the best, and which of them such supports must hold."""
    out, must = screen(root.bound, problem.ridge, k, best.fit.objective * (1 + MARGIN))
    kept = np.flatnonzero(~out)
    return kept, must[kept]


def _duals(problem: SparseProblem, certificate: Certificate) -> Floats:
    decisions = certificate.coef @ problem.columns[certificate.columns] + certificate.intercept
    v, h = np.empty(problem.n_rows), np.empty(problem.n_rows)
    all_points(problem.code, decisions, problem.y, problem.weight, certificate.delta, v, h)
    return balanced(problem.code, v, problem.weight)


def _result(problem: SparseProblem, best: Best, clock: Clock, root: Relaxation, master: Master | None) -> OptimalFit:
    fit = fit_support(problem, best.fit.support, tolerance=FINAL_TOLERANCE)
    objective = min(fit.objective, best.fit.objective)
    bound = root.bound.value - MARGIN * objective
    if master is not None:
        bound = max(bound, master.lower_bound)
    bound = min(bound, objective)
    return OptimalFit(
        support=as_support(fit.support),
        coef=fit.coef,
        intercept=fit.intercept,
        objective=fit.objective,
        lower_bound=bound,
        status=_status(master, bound, objective, clock.limits),
        solver="gurobi",
        nodes=0 if master is None else int(master.model.NodeCount),
        kept=0 if master is None else len(master.kept),
        root_gap=max(0.0, 1 - root.bound.value / objective),
        seconds=clock.seconds,
        found_after=best.seconds,
    )


def _status(master: Master | None, bound: float, objective: float, limits: Limits) -> Status:
    if objective - bound <= limits.gap * objective * (1 + 1e-6):
        return "proved"
    return "interrupted" if limits.interrupted() or (master is not None and master.was_interrupted) else "gap"
