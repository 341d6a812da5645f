"""The master problem of outer approximation: a linear problem in Gurobi, to which lazy cuts are added.

Binary variables z choose a support, and eta is a lower bound of its objective::

    minimise eta  subject to  sum_j z_j = k  and  eta >= sum_i dual_value(v_i) - g / 2 * sum_j (x_j . v)^2 z_j

with one cut for each vector v of balanced duals: the duals of the relaxed problem, and those of the fit of every
support that Gurobi proposes.
"""

from __future__ import annotations

import signal
from typing import Any

import numpy as np

from probing_datasets.foundation.errors import SolverUnavailableError
from sparse_probing.probes.inputs.validation import Floats
from sparse_probing.probes.optimal.branch_and_bound.bounds import exact_correlations, screen
from sparse_probing.probes.optimal.branch_and_bound.incumbent import Incumbent
from sparse_probing.probes.optimal.branch_and_bound.local_search import SupportFits
from sparse_probing.probes.optimal.branch_and_bound.relaxation import Relaxation
from sparse_probing.probes.optimal.losses import dual_value
from sparse_probing.probes.optimal.problem import as_support
from sparse_probing.probes.optimal.result import MARGIN, Clock
from sparse_probing.probes.optimal.support_fit import TOLERANCE, Certificate

MASTER_TOLERANCE = 1e-9
"""Tolerance of Gurobi for constraints, reduced costs and integers: the smallest that it accepts."""
ALLOWANCE = 5 * MASTER_TOLERANCE
"""Subtracted from Gurobi's bound for every variable, relative to the objective: each may be off by the tolerance."""
SIZE_LIMIT = 10010
"""Number of Gurobi's error for a model that is larger than the licence allows."""
ANOTHER_SOLVER = "use another solver: --osp_solver branch_and_bound"


class Master:
    """The linear problem that chooses supports; as Gurobi's callback it fits them and adds their cuts.

    Gurobi's tolerances are absolute, so its objectives are in units of the first incumbent's objective.
    """

    def __init__(
        self, model: Any, fits: SupportFits, k: int, incumbent: Incumbent, root: Relaxation, clock: Clock, seed: int
    ) -> None:
        from gurobipy import GRB

        self.model, self.codes = model, GRB
        self.fits, self.incumbent, self.clock = fits, incumbent, clock
        self.unit = incumbent.fit.objective or 1.0
        self.error: BaseException | None = None
        # Neurons that no support as good as the incumbent holds have no variable.
        out, must = screen(root.bound, fits.problem.ridge, k, incumbent.fit.objective * (1 + MARGIN))
        self.neurons = np.flatnonzero(~out)
        self.z = model.addMVar(len(self.neurons), lb=must[self.neurons].astype(float), vtype=GRB.BINARY)
        self.eta = model.addVar()
        model.setObjective(self.eta)
        model.addConstr(self.z.sum() == k)
        model.addConstr(self.eta >= self.bound_by(root.certificate))
        self.z.Start = self._incumbent_z()
        model.setParam("LazyConstraints", 1)
        model.setParam("Threads", 1)
        model.setParam("Seed", seed % 2_000_000_000)
        model.setParam("NodeLimit", clock.limits.nodes)
        model.setParam("MIPGap", max(0.0, clock.limits.gap - self.margin - 2 * TOLERANCE))
        for name in ("FeasibilityTol", "OptimalityTol", "IntFeasTol"):
            model.setParam(name, MASTER_TOLERANCE)

    @property
    def margin(self) -> float:
        """Amount, in units, by which Gurobi's bound may be too high."""
        return ALLOWANCE * (len(self.neurons) + 1)

    @property
    def lower_bound(self) -> float:
        """No support that screening leaves has a smaller objective."""
        return float(self.model.ObjBound - self.margin) * self.unit

    @property
    def was_interrupted(self) -> bool:
        """Whether the search was terminated before it ended or reached a limit."""
        return self.model.Status == self.codes.INTERRUPTED

    def solve(self) -> None:
        """Improve the bound and the incumbent until the gap is closed, a limit is reached, or it is interrupted."""
        from gurobipy import GurobiError

        self.model.setParam("TimeLimit", max(0.0, self.clock.limits.seconds - self.clock.seconds))
        try:
            self.model.optimize(self)
        except GurobiError as error:
            if error.errno != SIZE_LIMIT:
                raise
            raise SolverUnavailableError(
                f"Gurobi's size-limited licence does not accept {len(self.neurons):,} neurons, which screening left of "
                f"{self.fits.problem.width:,}. Get a full licence, search among fewer neurons "
                f"(--osp_heuristic_filter_size), or {ANOTHER_SOLVER}."
            ) from error
        if self.error is not None:
            raise self.error
        if self.was_interrupted and not self.clock.limits.interrupted():
            signal.raise_signal(signal.SIGINT)  # Gurobi catches Ctrl-C and does not pass it on

    def __call__(self, model: Any, where: int) -> None:
        """Handle an event of Gurobi. Errors are kept for later, because Gurobi ignores those that are raised here."""
        try:
            if self.clock.limits.interrupted():
                model.terminate()
            elif where == self.codes.Callback.MIPSOL:
                self._add_cut(model)
        except BaseException as error:
            self.error = error
            model.terminate()

    def _add_cut(self, model: Any) -> None:
        """Fit the support that Gurobi proposes, and add its cut; pass a better incumbent on to Gurobi."""
        support = self.neurons[model.cbGetSolution(self.z) > 0.5]
        fit, previous = self.fits.fit(as_support(support)), self.incumbent.fit
        model.cbLazy(self.eta >= self.bound_by(fit.certificate))
        self.incumbent.offer(fit, self.clock.seconds)
        if self.incumbent.fit is not previous:
            model.cbSetSolution(self.z, self._incumbent_z())
            model.cbSetSolution(self.eta, self.incumbent.fit.objective / self.unit)

    def _incumbent_z(self) -> Floats:
        return np.isin(self.neurons, self.incumbent.fit.support).astype(float)

    def bound_by(self, certificate: Certificate) -> Any:
        """Return the bound that a certificate's duals give for all supports, as an expression of Gurobi in z."""
        problem = self.fits.problem
        duals = certificate.duals(problem)
        constant = dual_value(problem.code, duals, problem.y, problem.weight)
        slopes = problem.ridge / 2 * exact_correlations(problem.columns, self.neurons, duals) ** 2
        return constant / self.unit - slopes / self.unit @ self.z
