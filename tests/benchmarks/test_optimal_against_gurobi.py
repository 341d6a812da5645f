"""The benchmark against Gurobi: all solvers get the same instances, and the paper's formulation is the same problem."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("gurobipy")

from benchmarks.optimal_against_gurobi import ALL, AgainstConfig, _row, compare, paper_formulation
from benchmarks.optimal_probes import planted_features
from sparse_probing.probes.optimal.branch_and_bound.solver import branch_and_bound
from sparse_probing.probes.optimal.result import Limits
from tests.builders.optimal.instances import correlated, problem_of
from tests.builders.optimal.reference import assert_honest, brute_force


@pytest.mark.parametrize("multiplier", [1.0, 30.0])
def test_the_papers_formulation_finds_the_best_support(multiplier: float) -> None:
    problem = problem_of(correlated(np.random.default_rng(0), 60, 9), "hinge", multiplier)
    fit, values = paper_formulation(problem, 3, Limits()), brute_force(problem, 3)
    assert fit.objective == pytest.approx(min(values.values()), rel=1e-4)
    assert_honest(problem, replace(fit, lower_bound=fit.lower_bound * (1 - 1e-5)), values)


def test_the_papers_formulation_keeps_to_its_time() -> None:
    (feature,) = planted_features(190, 400, 1)
    fit = paper_formulation(feature.problem(30.0, "hinge"), 8, Limits(seconds=0.5))
    assert fit.status == "gap"
    assert fit.lower_bound < fit.objective


def test_solvers_get_the_same_instances() -> None:
    config = AgainstConfig(sizes=((150, 30),), n_features=2, ks=(2,), ridges=(3.0,), paper_neurons=(20,))
    rows = compare(config)
    assert [row["solver"] for row in rows] == ["ours", "Gurobi", *ALL]
    assert [row["rows x neurons"] for row in rows] == ["150 x 30"] * 2 + ["198 x 20"] * 3
    assert all(row["proved"] == "2 of 2" for row in rows)
    assert all(abs(float(str(row["objective above ours, %: most"]))) <= 0.01 for row in rows)


def test_a_worse_solver_is_reported_as_worse() -> None:
    (feature,) = planted_features(150, 30, 1)
    fit = branch_and_bound(feature.problem(3.0, "hinge"), 2, Limits())
    worse = replace(fit, objective=1.5 * fit.objective, status="gap")
    row = _row([(fit, 1.0)], [(worse, 3.0)])
    assert row["proved"] == "0 of 1"
    assert float(str(row["objective above ours, %: most"])) == pytest.approx(50)
    assert float(str(row["theirs / ours, s"])) == pytest.approx(3)
    assert float(str(row["theirs / ours, gap"])) > 1000
