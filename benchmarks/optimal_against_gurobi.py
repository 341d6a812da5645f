"""Our branch and bound against outer approximation with Gurobi, at equal time on the same instances.

``Gurobi`` is our solver ``--osp_solver gurobi``: the same screening, first support and fits of supports, with a
linear master problem instead of the tree. ``the paper's`` is the formulation of Gurnee et al. 2023: no screening,
and the dual of every support as a quadratic programme inside Gurobi. The free licence allows 200 rows and neurons
of a support together there, so it is compared only on 200 - k rows. Time is CPU time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from statistics import median
from typing import Any

import gurobipy
import numpy as np
import tyro
from gurobipy import GRB
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from benchmarks._report import print_table
from benchmarks.optimal_probes import Feature, Solver, percent, planted_features, solve_in, warm_up
from sparse_probing.probes.inputs.validation import Floats
from sparse_probing.probes.optimal.branch_and_bound.solver import branch_and_bound
from sparse_probing.probes.optimal.gurobi.solver import gurobi
from sparse_probing.probes.optimal.problem import SparseProblem, as_support
from sparse_probing.probes.optimal.result import Clock, Limits, OptimalFit, relative_gap
from sparse_probing.probes.optimal.support_fit import FINAL_TOLERANCE, fit_support

FREE_VARIABLES = 200
"""Largest number of variables of a quadratic problem under the free licence."""
MOST_NEURONS = 1_999
"""Largest number of neurons of a linear master problem under the free licence."""
CLOSED = Limits().gap

Solved = tuple[OptimalFit, float]
"""A fit, with the CPU seconds of its search."""


@dataclass(frozen=True)
class AgainstConfig:
    """Sizes of the comparison."""

    sizes: tuple[tuple[int, int], ...] = ((3_000, 512), (3_000, 1_536))
    """Rows and neurons of synthetic layers."""
    n_features: int = 2
    ks: tuple[int, ...] = (3, 5, 8)
    ridges: tuple[float, ...] = (1.0, 3.0, 10.0)
    """m of the ridge m / sqrt(n)."""
    seconds: float = 5.0
    """CPU time of every solver for a support."""
    paper: bool = True
    """Also compare with the paper's formulation."""
    paper_neurons: tuple[int, ...] = (50, MOST_NEURONS)
    """Its numbers of neurons: those that the paper pre-selected, and the most that the licence allows."""
    threads: int = 1
    """Threads of BLAS, the same for all contenders; Gurobi has one."""


def paper_formulation(problem: SparseProblem, k: int, limits: Limits) -> OptimalFit:
    """Solve a hinge problem as the paper did, from the k neurons whose class means differ most.

    The bound is Gurobi's. Our code fits the coefficients of the support, because the paper's code reports those
    of the last support that its search visited.
    """
    clock = Clock(limits)
    with gurobipy.Env(params={"OutputFlag": 0, "Threads": 1}) as env, gurobipy.Model(env=env) as master:
        z, eta = master.addMVar(problem.width, vtype=GRB.BINARY), master.addVar()
        master.setObjective(eta)
        master.addConstr(z.sum() == k)
        master.addConstr(eta >= _cut(env, problem, _first_support(problem, k), z))

        def separate(model: Any, where: int) -> None:
            if limits.interrupted():
                model.terminate()
            elif where == GRB.Callback.MIPSOL:
                model.cbLazy(eta >= _cut(env, problem, np.flatnonzero(model.cbGetSolution(z) > 0.5), z))

        master.Params.LazyConstraints, master.Params.MIPGap = 1, limits.gap
        master.Params.TimeLimit = max(0.0, limits.seconds - clock.seconds)
        master.optimize(separate)
        support = np.flatnonzero(z.X > 0.5) if master.SolCount else _first_support(problem, k)
        return _fit_of(problem, support, max(0.0, master.ObjBound), int(master.NodeCount), clock)


def _first_support(problem: SparseProblem, k: int) -> NDArray:
    """Return the k neurons whose class means, scaled, differ most."""
    positive = problem.y > 0
    difference = problem.columns[:, positive].mean(axis=1) - problem.columns[:, ~positive].mean(axis=1)
    return np.sort(np.argsort(-np.abs(difference), kind="stable")[:k])


def _cut(env: Any, problem: SparseProblem, support: NDArray, z: Any) -> Any:
    """Return the bound that the duals of a support give, an expression in z."""
    value, duals = _quadratic_programme(env, problem, support)
    slopes = problem.ridge / 2 * (problem.columns.astype(np.float64) @ duals) ** 2
    return value + slopes[support].sum() - slopes @ z


def _quadratic_programme(env: Any, problem: SparseProblem, support: NDArray) -> tuple[float, Floats]:
    """Return the value and the duals (n,) of a support: a quadratic programme of n + k variables."""
    y, w, Z = problem.y, problem.weight, problem.columns[support].T.astype(np.float64)
    with gurobipy.Model(env=env) as model:
        v = model.addMVar(problem.n_rows, lb=np.minimum(0, y * w), ub=np.maximum(0, y * w))
        correlations = model.addMVar(len(support), lb=-GRB.INFINITY)
        model.addConstr(v.sum() == 0)
        model.addConstr(correlations == Z.T @ v)
        model.setObjective(y @ v - problem.ridge / 2 * (correlations @ correlations), GRB.MAXIMIZE)
        model.optimize()
        return model.ObjVal, np.asarray(v.X)


def _fit_of(problem: SparseProblem, support: NDArray, bound: float, nodes: int, clock: Clock) -> OptimalFit:
    fit = fit_support(problem, support, tolerance=FINAL_TOLERANCE)
    gap = relative_gap(fit.objective, bound)
    return OptimalFit(
        support=as_support(support),
        coef=fit.coef,
        intercept=fit.intercept,
        objective=fit.objective,
        lower_bound=bound,
        status="proved" if gap <= clock.limits.gap * (1 + 1e-6) else "gap",
        solver="paper",
        nodes=nodes,
        n_kept=problem.width,
        root_gap=1.0,
        seconds=clock.seconds,
        seconds_to_support=clock.seconds,
    )


OURS: dict[str, Solver] = {"ours": branch_and_bound, "Gurobi": gurobi}
ALL: dict[str, Solver] = OURS | {"the paper's": paper_formulation}


def compare(config: AgainstConfig) -> list[dict[str, object]]:
    """Solve every instance with every solver; return the rows of the table."""
    warm_up("hinge")
    with threadpool_limits(config.threads):
        return [
            row
            for features, k, solvers in _instances(config)
            for ridge in config.ridges
            for row in _rows_of(features, ridge, k, solvers, config.seconds)
        ]


def _instances(config: AgainstConfig) -> Iterator[tuple[list[Feature], int, dict[str, Solver]]]:
    for n_rows, width in config.sizes:
        features = list(planted_features(n_rows, width, config.n_features))
        yield from product([features], config.ks, [OURS])
    for width, k in product(config.paper_neurons, config.ks if config.paper else ()):
        yield list(planted_features(FREE_VARIABLES - k, width, config.n_features)), k, ALL


def _rows_of(
    features: list[Feature], ridge: float, k: int, solvers: dict[str, Solver], cpu_seconds: float
) -> Iterator[dict[str, object]]:
    """Yield a row for every solver; the solvers alternate, feature by feature."""
    turns = []
    for feature in features:
        problem = feature.problem(ridge, "hinge")
        turns.append({name: solve_in(cpu_seconds, solver, problem, k) for name, solver in solvers.items()})
    for name in solvers:
        start = {"rows x neurons": features[0].size, "m": f"{ridge:g}", "k": k, "solver": name}
        yield start | _row([turn["ours"] for turn in turns], [turn[name] for turn in turns])


def _row(ours: list[Solved], theirs: list[Solved]) -> dict[str, object]:
    """Compare one solver with ours; a gap below the requested one counts as the requested gap."""
    fits = [fit for fit, _ in theirs]
    pairs = [(a, b) for (a, _), (b, _) in zip(ours, theirs, strict=True)]
    return {
        "proved": f"{sum(fit.status == 'proved' for fit in fits)} of {len(fits)}",
        "gap, %: median": percent(median(fit.gap for fit in fits)),
        "largest": percent(max(fit.gap for fit in fits)),
        "s: median": f"{median(cpu for _, cpu in theirs):.2f}",
        "theirs / ours, s": f"{median(b / a for (_, a), (_, b) in zip(ours, theirs, strict=True)):.1f}",
        "theirs / ours, gap": f"{median(max(b.gap, CLOSED) / max(a.gap, CLOSED) for a, b in pairs):.1f}",
        "nodes": f"{median(fit.nodes for fit in fits):.0f}",
        "objective above ours, %: most": percent(max(b.objective / a.objective - 1 for a, b in pairs)),
    }


if __name__ == "__main__":
    print_table(compare(tyro.cli(AgainstConfig, description=__doc__)))
