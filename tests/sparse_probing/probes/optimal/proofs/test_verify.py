"""The verifier taken by itself: what it stands on, and hand-made logs."""

import ast
import io
import sys
from pathlib import Path

import numpy as np
import pytest

from sparse_probing.probes.optimal.proofs import verify as verify_module
from sparse_probing.probes.optimal.proofs.verify import Checker, verify
from tests.sparse_probing.probes.optimal.instances import LOSSES, hard, made
from tests.sparse_probing.probes.optimal.reference import brute_force, libsvm_duals, objective, optimum


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


def test_the_verifier_shares_nothing_with_the_project():
    path = Path(verify_module.__file__)
    assert imported(path) <= {*sys.stdlib_module_names, "numpy"}
    assert "__import__" not in path.read_text()
    assert "importlib" not in path.read_text()
    own = {type(value).__module__.split(".")[0] for value in vars(verify_module).values()}
    assert not own & {"probing_datasets"}
    assert {
        v.__module__ for v in vars(verify_module).values() if isinstance(v, type) and "sparse_probing" in v.__module__
    } == {verify_module.__name__}


def by_hand(problem, k, claimed, **changes):
    """Return a log of one node, whose supports are all tried with certificates of zero coefficients."""
    supports = list(brute_force(problem, k))
    coef = np.zeros(k)
    log = {
        "format": 1,
        "loss": problem.loss,
        "ridge": problem.ridge,
        "k": k,
        "support": np.array(supports[0]),
        "coef": coef,
        "intercept": 0.0,
        "upper_bound": objective(problem, supports[0], coef, 0.0),
        "lower_bound": claimed,
        "parent": np.array([-1]),
        "side": np.array([-1]),
        "neuron": np.array([-1]),
        "branch": np.array([-1]),
        "enumerated": np.array([True]),
        "node_end": np.array([0]),
        "node_columns": np.empty(0, int),
        "node_coef": np.empty(0),
        "node_intercept": np.zeros(1),
        "node_delta": np.array([-1.0]),
        "support_end": np.cumsum([k] * len(supports)),
        "support_columns": np.concatenate(supports),
        "support_coef": np.zeros(k * len(supports)),
        "support_intercept": np.zeros(len(supports)),
        "support_delta": np.ones(len(supports)),
    }
    buffer = io.BytesIO()
    np.savez(buffer, **(log | changes))
    return buffer.getvalue()


@pytest.mark.parametrize("loss", LOSSES)
def test_a_proof_by_hand(loss):
    """All supports with the duals of the zero probe: a weak bound, but a bound."""
    problem = hard(loss, d=5, multiplier=0.1)
    data = (problem.columns, problem.y, problem.weight)
    best = min(brute_force(problem, 2).values())
    verdict = verify(*data, by_hand(problem, 2, -1e9))
    assert verdict.proved
    assert 0 < verdict.lower_bound <= best * (1 + 1e-7)
    assert verify(*data, by_hand(problem, 2, verdict.lower_bound)).proved
    above = verify(*data, by_hand(problem, 2, verdict.lower_bound * (1 + 1e-12)))
    assert not above.proved
    assert "support (" in above.reason
    assert "is claimed" in above.reason


@pytest.mark.parametrize("loss", LOSSES)
def test_what_is_claimed_is_named(loss):
    problem = hard(loss, d=5, multiplier=0.1)
    verdict = verify(problem.columns, problem.y, problem.weight, by_hand(problem, 2, 1.0))
    ridge = f"{problem.ridge:.6g}"
    assert verdict.reason == f"No support of 2 neurons gets below 1 ({loss} loss, ridge {ridge})."


def test_reasons():
    problem = hard("hinge", d=5, multiplier=0.1)

    def reason(**changes):
        verdict = verify(problem.columns, problem.y, problem.weight, by_hand(problem, 2, 1.0, **changes))
        assert not verdict.proved
        return verdict.reason

    assert "is no support of 2 neurons" in reason(support=np.array([1, 1]))
    assert "is no support of 2 neurons" in reason(support=np.array([1, 7]))
    assert "objective is" in reason(upper_bound=5.0)
    assert "support (3, 4) has no certificate" in reason(support_end=np.cumsum([2] * 9))
    assert "The bound of the root is -inf" in reason(enumerated=np.array([False]))
    assert "no node" in reason(enumerated=np.array([False]), branch=np.array([2]))
    assert "not sound" in reason(loss="absolute")
    assert "it is of format 2" in reason(format=2)


@pytest.mark.parametrize("loss", LOSSES)
def test_no_optimal_intercept_is_larger_than_allowed_for(loss):
    for kind in ("correlated", "rare", "separable", "ties"):
        problem = made(kind, loss, 100.0, heavy=True)
        coef, best = np.zeros(1), optimum(problem, (0,))
        log = {"loss": loss, "ridge": problem.ridge, "k": 1, "upper_bound": best * 1.5, "lower_bound": best}
        allowed = Checker(problem.columns, problem.y, problem.weight, log).intercept_at_most
        if loss == "hinge":
            coef, _ = libsvm_duals(problem, (0,))
        grid = np.linspace(-allowed, allowed, 2001)
        values = [objective(problem, (0,), coef, b) for b in grid]
        assert 0 < np.argmin(values) < 2000
