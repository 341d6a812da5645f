"""The master problem of outer approximation: a linear one, in Gurobi, that learns from lazy cuts.

It chooses a support by binary variables z, and knows objectives from below alone::

    minimise eta  subject to  sum_j z_j = k  and  eta >= sum_i dual_value(v_i) - g / 2 * sum_j (x_j . v)^2 z_j

with one cut for each vector of balanced duals v that was met: those of the relaxed problem, and of every
support that Gurobi came to.
"""

from __future__ import annotations

import signal
from typing import Any

import numpy as np

from probing_datasets.foundation.errors import SolverUnavailableError
from sparse_probing.probes.optimal.branch_and_bound.bounds import exact_correlations, screen
from sparse_probing.probes.optimal.branch_and_bound.local_search import SupportFits, as_support
from sparse_probing.probes.optimal.branch_and_bound.relaxation import Relaxation
from sparse_probing.probes.optimal.branch_and_bound.tree import Best
from sparse_probing.probes.optimal.losses import dual_value
from sparse_probing.probes.optimal.problem import SparseProblem
from sparse_probing.probes.optimal.result import MARGIN, Clock
from sparse_probing.probes.optimal.support_fit import TOLERANCE, Certificate
from sparse_probing.probes.validation import Booleans, Floats, Integers

MASTER_TOLERANCE = 1e-9
"""Of Gurobi, for rows, reduced costs and integers: the smallest that it takes."""
ALLOWANCE = 5 * MASTER_TOLERANCE
"""Taken from Gurobi's bound for every variable, relative to the objective: each may be off by the tolerance."""
SIZE_LIMIT = 10010
"""Number of Gurobi's error."""
ANOTHER_SOLVER = "take another solver: --osp_solver branch_and_bound"


class Master:
    """The linear problem that chooses supports; as Gurobi's callback it fits them, and cuts them off.

    Objectives are told to Gurobi in units of the first one, because its tolerances are absolute.
    """

    def __init__(
        self, model: Any, fits: SupportFits, k: int, best: Best, root: Relaxation, clock: Clock, seed: int
    ) -> None:
        from gurobipy import GRB

        self.model, self.codes = model, GRB
        self.fits, self.best, self.clock, self.unit = fits, best, clock, best.fit.objective or 1.0
        self.error: BaseException | None = None
        self.kept, must = _screened(root, fits.problem, k, best)
        self.z = model.addMVar(len(self.kept), lb=must.astype(float), vtype=GRB.BINARY)
        self.eta = model.addVar()
        model.setObjective(self.eta)
        model.addConstr(self.z.sum() == k)
        model.addConstr(self.eta >= self.bound_by(root.certificate))
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
        model.cbLazy(self.eta >= self.bound_by(fit.certificate))
        self.best.offer(fit, self.clock.seconds)
        if self.best.fit is not known:
            model.cbSetSolution(self.z, self._incumbent())
            model.cbSetSolution(self.eta, self.best.fit.objective / self.unit)

    def _incumbent(self) -> Floats:
        return np.isin(self.kept, self.best.fit.support).astype(float)

    def bound_by(self, certificate: Certificate) -> Any:
        """Return the bound of all supports that a certificate's duals give, as an expression of Gurobi in z."""
        problem = self.fits.problem
        duals = certificate.duals(problem)
        constant = dual_value(problem.code, duals, problem.y, problem.weight)
        taken = problem.ridge / 2 * exact_correlations(problem.columns, self.kept, duals) ** 2
        return constant / self.unit - taken / self.unit @ self.z


def _screened(root: Relaxation, problem: SparseProblem, k: int, best: Best) -> tuple[Integers, Booleans]:
    """Return the neurons that a support as good as the best may hold, and which of them it must."""
    out, must = screen(root.bound, problem.ridge, k, best.fit.objective * (1 + MARGIN))
    kept = np.flatnonzero(~out)
    return kept, must[kept]
