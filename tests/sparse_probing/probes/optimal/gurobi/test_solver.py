"""Outer approximation with Gurobi: against all supports and the other solver, interrupted, and without a licence."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings

from probing_datasets.foundation.errors import ProbeError, SolverUnavailableError
from sparse_probing.probes.optimal.branch_and_bound.relaxation import Relaxation
from sparse_probing.probes.optimal.branch_and_bound.solver import branch_and_bound
from sparse_probing.probes.optimal.gurobi import solver
from sparse_probing.probes.optimal.gurobi.solver import gurobi
from sparse_probing.probes.optimal.losses import LossName
from sparse_probing.probes.optimal.problem import SparseProblem
from sparse_probing.probes.optimal.result import Limits
from tests.builders.optimal.instances import KINDS, LOSSES, correlated, hard, make_problem, problem_of, problems
from tests.builders.optimal.reference import assert_honest, assert_optimal, brute_force

gurobipy = pytest.importorskip("gurobipy")

GAP = 1e-5
LIMITS = Limits(gap=GAP)


@pytest.fixture
def only_master() -> Iterator[None]:
    """Leave all the work to Gurobi: the first support is poor, and the root offers no better one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(solver, "first_support", lambda fits, k, starts, clock: tuple(range(k)))
        patch.setattr(Relaxation, "rounded", lambda self, k: None)
        yield


@pytest.fixture
def size_limited() -> None:
    """Skip if there is a full licence, which accepts models of any size."""
    with gurobipy.Env(params={"OutputFlag": 0}) as env, gurobipy.Model(env=env) as model:
        model.addMVar(2001)
        try:
            model.optimize()
        except gurobipy.GurobiError:
            return
    pytest.skip("there is a full licence")


def planted(loss: LossName, multiplier: float = 10.0) -> SparseProblem:
    return problem_of(correlated(np.random.default_rng(0), 300, 60), loss, multiplier)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("multiplier", "balanced", "heavy"), [(1.0, True, False), (100.0, True, True)])
def test_no_support_is_better(kind: str, loss: LossName, multiplier: float, balanced: bool, heavy: bool) -> None:
    problem = make_problem(kind, loss, multiplier, balanced=balanced, heavy=heavy)
    for k in (1, 3):
        assert_optimal(problem, gurobi(problem, k, LIMITS), brute_force(problem, k), GAP)


@pytest.mark.usefixtures("only_master")
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("kind", ["correlated", "ties", "duplicated", "constant", "all_equal"])
def test_gurobi_finds_the_best_support_from_a_poor_one(kind: str, loss: LossName) -> None:
    problem = make_problem(kind, loss, 30.0)
    assert_optimal(problem, gurobi(problem, 2, LIMITS), brute_force(problem, 2), GAP)


@pytest.mark.usefixtures("only_master")
@settings(max_examples=25)
@given(problem=problems(widest=5))
def test_any_small_problem(problem: SparseProblem) -> None:
    k = min(2, problem.width)
    assert_honest(problem, gurobi(problem, k, LIMITS), brute_force(problem, k))


@pytest.mark.parametrize("loss", LOSSES)
def test_solvers_agree(loss: LossName) -> None:
    problem = planted(loss)
    ours, theirs = branch_and_bound(problem, 3, LIMITS), gurobi(problem, 3, LIMITS)
    assert theirs.root_gap > GAP  # the master had to close it
    assert (theirs.solver, theirs.status, ours.status) == ("gurobi", "proved", "proved")
    assert theirs.support == ours.support
    assert theirs.objective == pytest.approx(ours.objective, rel=1e-8)
    assert np.allclose(theirs.coef, ours.coef, rtol=1e-3, atol=1e-6)
    assert theirs.lower_bound <= ours.objective
    assert ours.lower_bound <= theirs.objective


def test_the_seed_repeats_a_search() -> None:
    problem = planted("squared")
    first, again = (gurobi(problem, 3, LIMITS, seed=5) for _ in range(2))
    assert (first.support, first.nodes, first.lower_bound) == (again.support, again.nodes, again.lower_bound)


@pytest.mark.usefixtures("only_master")
@pytest.mark.parametrize("limits", [replace(LIMITS, seconds=0.0), replace(LIMITS, nodes=0)])
def test_an_early_end_leaves_an_honest_gap(limits: Limits) -> None:
    problem = hard("squared")
    fit = gurobi(problem, 4, limits)
    assert fit.status == "gap"
    assert fit.gap > GAP
    assert_honest(problem, fit, brute_force(problem, 4))


def test_a_start_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Relaxation, "rounded", lambda self, k: None)
    rng = np.random.default_rng(0)
    score, noise = rng.standard_normal((2, 60))
    X = np.stack([score + noise, noise, score + 0.5 * rng.standard_normal(60)], axis=1)
    problem, at_once = problem_of((X, score), "squared", 1000.0), replace(LIMITS, seconds=0.0)
    assert gurobi(problem, 2, at_once).support == (0, 2)
    assert gurobi(problem, 2, at_once, starts=[(1, 0)]).support == (0, 1)
    assert gurobi(problem, 2, LIMITS).support == (0, 1)


class Interruption:
    """Returns True from the n-th call on, or runs an action at the n-th call."""

    def __init__(self, n: int, action: object = None) -> None:
        self.left, self.action = n, action

    def __call__(self) -> bool:
        self.left -= 1
        if self.left == 0 and callable(self.action):
            self.action()
        return self.left <= 0 and self.action is None


def calls_before_master(problem: SparseProblem, k: int) -> int:
    """Return how often a search checks for an interruption before its master problem branches."""
    counted = Interruption(10**9)
    gurobi(problem, k, replace(LIMITS, nodes=0, interrupted=counted))
    return 10**9 - counted.left


@pytest.mark.usefixtures("only_master")
def test_an_interruption_leaves_the_best_so_far() -> None:
    problem = hard("squared", d=30)
    calls = calls_before_master(problem, 3)
    fit = gurobi(problem, 3, replace(LIMITS, interrupted=Interruption(calls + 20)))
    assert fit.status == "interrupted"
    assert fit.gap > GAP
    assert_honest(problem, fit, brute_force(problem, 3))


@pytest.mark.usefixtures("only_master")
def test_an_error_inside_the_callback_is_not_lost() -> None:
    def fail() -> None:
        raise OSError("the disk is full")

    problem = hard("squared", d=30)
    with pytest.raises(OSError, match="the disk is full"):
        gurobi(problem, 3, replace(LIMITS, interrupted=Interruption(calls_before_master(problem, 3), fail)))


@pytest.mark.usefixtures("only_master")
def test_control_c_reaches_its_handler() -> None:
    received: list[int] = []
    earlier = signal.signal(signal.SIGINT, lambda number, frame: received.append(number))
    problem = hard("squared", d=30)
    try:
        press = Interruption(calls_before_master(problem, 3), lambda: os.kill(os.getpid(), signal.SIGINT))
        fit = gurobi(problem, 3, replace(LIMITS, interrupted=press))
    finally:
        signal.signal(signal.SIGINT, earlier)
    assert received == [signal.SIGINT]
    assert fit.status == "interrupted"


@pytest.mark.parametrize(("options", "message"), [({"proof": True}, "no proof"), ({"tolerance": 0.1}, "near supports")])
def test_options_that_gurobi_does_not_support(options: dict, message: str) -> None:
    with pytest.raises(ProbeError, match=f"{message}.*--osp_solver branch_and_bound"):
        gurobi(make_problem("correlated", "hinge", 1.0), 2, LIMITS, **options)


def test_k_must_be_in_range() -> None:
    with pytest.raises(ProbeError, match="between 1 and the 8 neurons"):
        gurobi(make_problem("correlated", "hinge", 1.0), 9, LIMITS)


def test_without_gurobipy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gurobipy", None)
    with pytest.raises(SolverUnavailableError, match=r"pip install 'sparse-probing\[gurobi\]', or .* branch_and_bound"):
        gurobi(make_problem("correlated", "hinge", 1.0), 2, LIMITS)


@pytest.mark.parametrize(
    ("licence", "reason"),
    [
        ("TYPE=ACADEMIC\nVERSION=99\nHOSTID=12345678\nEXPIRATION=2020-01-01\nKEY=ABCD1234\n", "expired 2020-01-01"),
        ("no licence\n", "No HostID"),
        (None, "Unable to open"),
    ],
)
def test_without_a_valid_licence(
    licence: str | None, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if licence is not None:
        (tmp_path / "gurobi.lic").write_text(licence)
    monkeypatch.setenv("GRB_LICENSE_FILE", str(tmp_path / "gurobi.lic"))
    with pytest.raises(SolverUnavailableError, match=f"no valid licence: .*{reason}.*--osp_solver branch_and_bound"):
        gurobi(make_problem("correlated", "hinge", 1.0), 2, LIMITS)


@pytest.mark.usefixtures("size_limited")
def test_a_problem_too_wide_for_the_licence() -> None:
    problem = problem_of(correlated(np.random.default_rng(0), 40, 2200), "squared", 1000.0)
    with pytest.raises(SolverUnavailableError, match=r"2,\d\d\d neurons, which screening left of 2,200. Get a full"):
        gurobi(problem, 4, LIMITS)


def test_screening_makes_a_wide_problem_small_enough() -> None:
    problem = problem_of(correlated(np.random.default_rng(0), 200, 2200), "hinge", 10.0)
    fit = gurobi(problem, 2, LIMITS)
    assert fit.root_gap > GAP
    assert 2 < fit.n_kept < 2000
    assert fit.status == "proved"
    assert fit.support == branch_and_bound(problem, 2, LIMITS).support


def test_gurobi_is_quiet_unless_verbose(capfd: pytest.CaptureFixture[str]) -> None:
    problem = planted("hinge")
    gurobi(problem, 3, LIMITS)
    assert capfd.readouterr().out == ""
    gurobi(problem, 3, LIMITS, verbose=True)
    assert "Explored" in capfd.readouterr().out
