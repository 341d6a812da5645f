"""The verifier: what it imports, logs that no solver wrote, and the reasons that it gives."""

import ast
import sys
from pathlib import Path

import numpy as np
import pytest

from sparse_probing.probes.optimal.proofs import verify as verify_module
from sparse_probing.probes.optimal.proofs.verify import Checker, verify
from tests.builders.optimal.instances import LOSSES, hard, make_problem
from tests.builders.optimal.logs import enumerated_proof
from tests.builders.optimal.reference import brute_force, libsvm_duals, objective, optimum


def imported(path: Path) -> set[str]:
    """Return the packages that a module imports, anywhere in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            names.add((node.module or "").split(".")[0])
    return names


def test_the_verifier_shares_no_code_with_the_project():
    path = Path(verify_module.__file__)
    assert imported(path) <= {*sys.stdlib_module_names, "numpy"}
    assert "__import__" not in path.read_text()
    assert "importlib" not in path.read_text()
    packages = {type(value).__module__.split(".")[0] for value in vars(verify_module).values()}
    assert not packages & {"probing_datasets"}
    assert {
        v.__module__ for v in vars(verify_module).values() if isinstance(v, type) and "sparse_probing" in v.__module__
    } == {verify_module.__name__}


@pytest.mark.parametrize("loss", LOSSES)
def test_a_proof_by_enumeration(loss):
    """The duals of the zero probe bound every support, weakly."""
    problem = hard(loss, d=5, multiplier=0.1)
    data = (problem.columns, problem.y, problem.weight)
    best = min(brute_force(problem, 2).values())
    verdict = verify(*data, enumerated_proof(problem, 2, -1e9))
    assert verdict.proved
    assert 0 < verdict.lower_bound <= best * (1 + 1e-7)
    assert verify(*data, enumerated_proof(problem, 2, verdict.lower_bound)).proved
    above = verify(*data, enumerated_proof(problem, 2, verdict.lower_bound * (1 + 1e-12)))
    assert not above.proved
    assert "support (" in above.reason
    assert "is claimed" in above.reason


@pytest.mark.parametrize("loss", LOSSES)
def test_the_verdict_names_the_claim(loss):
    problem = hard(loss, d=5, multiplier=0.1)
    verdict = verify(problem.columns, problem.y, problem.weight, enumerated_proof(problem, 2, 1.0))
    ridge = f"{problem.ridge:.6g}"
    assert verdict.reason == f"No support of 2 neurons gets below 1 ({loss} loss, ridge {ridge})."


def test_the_reason_names_the_fault():
    problem = hard("hinge", d=5, multiplier=0.1)

    def reason(**changes):
        verdict = verify(problem.columns, problem.y, problem.weight, enumerated_proof(problem, 2, 1.0, **changes))
        assert not verdict.proved
        return verdict.reason

    assert "is not a support of 2 neurons" in reason(support=np.array([1, 1]))
    assert "is not a support of 2 neurons" in reason(support=np.array([1, 7]))
    assert "objective is" in reason(upper_bound=5.0)
    assert "support (3, 4) has no certificate" in reason(support_end=np.cumsum([2] * 9))
    assert "The bound of the root is -inf" in reason(enumerated=np.array([False]))
    assert "no node" in reason(enumerated=np.array([False]), branch=np.array([2]))
    assert "not sound" in reason(loss="absolute")
    assert "format 2" in reason(format=2)


@pytest.mark.parametrize("loss", LOSSES)
def test_no_optimal_intercept_is_larger_than_the_allowance(loss):
    for kind in ("correlated", "rare", "separable", "ties"):
        problem = make_problem(kind, loss, 100.0, heavy=True)
        coef, best = np.zeros(1), optimum(problem, (0,))
        log = {"loss": loss, "ridge": problem.ridge, "k": 1, "upper_bound": best * 1.5, "lower_bound": best}
        allowed = Checker(problem.columns, problem.y, problem.weight, log).largest_intercept
        if loss == "hinge":
            coef, _ = libsvm_duals(problem, (0,))
        grid = np.linspace(-allowed, allowed, 2001)
        values = [objective(problem, (0,), coef, b) for b in grid]
        assert 0 < np.argmin(values) < 2000
