"""The registry of solvers: the choice, the options, and compilation before the search."""

import numpy as np
import pytest

from probing_datasets.foundation.errors import ProbeError
from sparse_probing.probes.optimal import solve as module
from sparse_probing.probes.optimal.result import Limits
from sparse_probing.probes.optimal.solve import AUTOMATIC, SOLVERS, compile_once, solve
from tests.builders.optimal.instances import make_problem


@pytest.mark.parametrize("solver", [*SOLVERS, "auto"])
@pytest.mark.parametrize("loss", ["hinge", "logistic", "squared"])
def test_all_solvers_agree_and_results_name_them(solver, loss):
    problem = make_problem("ties", loss, 3.0, seed=2)
    fit, other = solve(problem, 2, Limits(), solver), solve(problem, 2, Limits(), "branch_and_bound")
    assert fit.solver == (AUTOMATIC if solver == "auto" else solver)
    assert fit.status == other.status == "proved"
    assert fit.objective == pytest.approx(other.objective, rel=2e-4)


@pytest.mark.parametrize("solver", [*SOLVERS, "auto"])
@pytest.mark.parametrize("k", [0, -1, 10_000])
def test_k_out_of_range_is_refused(solver, k):
    with pytest.raises(ProbeError, match=f"k must lie between 1 and the .*; got {k}"):
        solve(make_problem("ties", "hinge", 3.0, seed=2), k, Limits(), solver)


def test_only_branch_and_bound_writes_proofs():
    problem = make_problem("ties", "hinge", 3.0, seed=2)
    assert solve(problem, 1, Limits(), "branch_and_bound", proof=True).proof
    with pytest.raises(ProbeError, match="no proof.*branch_and_bound"):
        solve(problem, 1, Limits(), "gurobi", proof=True)


def test_the_solver_is_compiled_before_the_search(monkeypatch):
    calls = []
    monkeypatch.setattr(module, "compile_once", lambda: calls.append("compiled"))
    monkeypatch.setitem(SOLVERS, "branch_and_bound", lambda *arguments, **options: calls.append("solved"))
    solve(make_problem("ties", "hinge", 3.0, seed=2), 1, Limits())
    assert calls == ["compiled", "solved"]
    compile_once()


@pytest.mark.parametrize(
    ("solver", "verbose", "shows"),
    [("gurobi", True, True), ("branch_and_bound", True, False), ("gurobi", False, False)],
)
def test_verbose_shows_only_the_log_of_gurobi(solver, verbose, shows, capfd):
    problem = make_problem("rare", "hinge", 100.0, seed=3)
    solve(problem, 3, Limits(gap=1e-5), solver, verbose=verbose)
    output = capfd.readouterr().out
    assert ("Gurobi" in output) == shows
    assert shows or not output


def test_a_seed_repeats_the_numbers_of_a_search():
    problem = make_problem("ties", "hinge", 10.0, seed=4)
    one, two = (solve(problem, 3, Limits(), seed=3) for _ in range(2))
    assert one.support == two.support
    assert np.array_equal(one.coef, two.coef)
    assert (one.objective, one.lower_bound, one.nodes) == (two.objective, two.lower_bound, two.nodes)
