"""The references of the solver's tests against other methods: Gurobi, scikit-learn and least squares."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from tests.builders.optimal.instances import KINDS, make_problem
from tests.builders.optimal.reference import brute_force, objective, optimum


def quadratic_programme(problem, support):
    """Return the optimum of the dual of the hinge problem, by Gurobi's barrier method."""
    gurobi = pytest.importorskip("gurobipy")
    Z = problem.columns[list(support)].astype(float)
    with gurobi.Env(params={"OutputFlag": 0}) as env, gurobi.Model(env=env) as model:
        model.Params.BarQCPConvTol = model.Params.BarConvTol = 1e-12
        model.Params.FeasibilityTol = model.Params.OptimalityTol = 1e-9
        a = model.addMVar(problem.n_rows, lb=0.0, ub=problem.weight)
        model.addConstr(problem.y @ a == 0)
        correlations = (Z * problem.y) @ a
        model.setObjective(a.sum() - problem.ridge / 2 * (correlations @ correlations), gurobi.GRB.MAXIMIZE)
        model.optimize()
        return model.ObjVal


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("multiplier", [1.0, 30.0])
def test_hinge_is_the_quadratic_programme(kind, multiplier):
    problem = make_problem(kind, "hinge", multiplier, heavy=True)
    for support in [(0,), (1, 3), (0, 2, 4)]:
        assert optimum(problem, support) == pytest.approx(quadratic_programme(problem, support), rel=2e-6)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "all_constant"])
def test_logistic_is_that_of_scikit_learn(kind):
    problem = make_problem(kind, "logistic", 10.0, heavy=True)
    for support in [(0,), (1, 3), (0, 2, 4)]:
        model = LogisticRegression(C=problem.ridge, tol=1e-10, solver="newton-cholesky")
        model.fit(problem.columns[list(support)].T.astype(float), problem.y, sample_weight=problem.weight)
        value = objective(problem, support, model.coef_[0], model.intercept_[0])
        assert optimum(problem, support) == pytest.approx(value, rel=1e-8)


def test_squared_is_a_system_of_least_squares():
    problem = make_problem("correlated", "squared", 10.0, heavy=True)
    for support in [(0,), (1, 3), (0, 2, 4)]:
        Z = np.vstack([problem.columns[list(support)], np.ones(problem.n_rows)]).T.astype(float)
        root = np.sqrt(problem.weight)
        penalty = np.eye(len(support), len(support) + 1) / np.sqrt(problem.ridge)
        A, b = np.vstack([root[:, None] * Z, penalty]), np.append(root * problem.y, np.zeros(len(support)))
        residual = A @ np.linalg.lstsq(A, b, rcond=None)[0] - b
        assert optimum(problem, support) == pytest.approx(residual @ residual / 2, rel=1e-10)


def test_brute_force_enumerates_all_supports():
    assert len(brute_force(make_problem("correlated", "squared", 1.0), 3)) == 56
