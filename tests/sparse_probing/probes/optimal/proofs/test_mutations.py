"""No entry of a proof, whatever its new value, makes the verifier accept a false bound."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparse_probing.probes.optimal.losses import LossName
from sparse_probing.probes.optimal.problem import SparseProblem
from tests.builders.optimal.instances import LOSSES
from tests.builders.optimal.logs import (
    CLAIM,
    K,
    Log,
    check_proof,
    read_log,
    sample_proof,
    with_bounds,
    with_worse_support,
    write_log,
)
from tests.builders.optimal.reference import brute_force


@pytest.mark.parametrize("loss", LOSSES)
def test_not_a_number_anywhere(loss):
    """A log with a NaN proves only bounds that are true."""
    problem, proof, best = sample_proof(loss)
    log = read_log(proof)
    for name, array in log.items():
        if array.dtype.kind == "f":
            for i in range(array.size):
                tampered = array.copy()
                tampered.reshape(-1)[i] = np.nan
                assert_true_if_proved(problem, log | {name: tampered}, best)
            everywhere = check_proof(problem, write_log(log | {name: np.full_like(array, np.nan)}))
            assert not everywhere.proved or (name.endswith("delta") and loss != "hinge")  # others do not use it


def mutations(array: np.ndarray, i: int) -> list[np.ndarray]:
    """Return copies of an array with entry i changed in every way that its type allows."""
    value = array.reshape(-1)[i]
    if array.dtype.kind == "f":
        new = [value / 2 + 0.1, -value, np.nan, 1e308]
    elif array.dtype.kind == "b":
        new = [not value]
    elif array.dtype.kind in "iu":
        new = [value + 1, value - 1, 10**6 if array.dtype.itemsize > 1 else 7]
    else:
        new = [loss for loss in LOSSES if loss != str(value)]
    out = []
    for each in new:
        changed = array.copy() if array.dtype.kind != "U" else array.astype("U20")
        changed.reshape(-1)[i] = each
        out.append(changed)
    return out


def assert_true_if_proved(problem: SparseProblem, log: Log, best: float) -> bool:
    """Check that a log, if accepted, claims no more than brute force finds; return whether it was accepted."""
    proved = check_proof(problem, write_log(log)).proved
    if proved and (str(log["loss"]), float(log["ridge"]), int(log["k"])) != (problem.loss, problem.ridge, K):
        claimed = SparseProblem(
            problem.columns, problem.y, problem.weight, float(log["ridge"]), cast(LossName, str(log["loss"]))
        )
        best = min(brute_force(claimed, int(log["k"])).values())
    if proved:
        assert float(log["lower_bound"]) <= best * (1 + 1e-9)
    return proved


def sweep(problem: SparseProblem, log: Log, best: float, names: Iterable[str]) -> int:
    """Change every entry of the named arrays in every way; return how many of the changed logs were accepted."""
    accepted = 0
    for name in names:
        for i in range(log[name].size):
            for changed in mutations(log[name], i):
                accepted += assert_true_if_proved(problem, log | {name: changed}, best)
    return accepted


@pytest.mark.slow
@pytest.mark.parametrize("loss", LOSSES)
def test_every_entry_changed(loss):
    problem, proof, best = sample_proof(loss)
    log = read_log(proof)
    assert sweep(problem, log, best, log) > 0


@pytest.mark.slow
@pytest.mark.parametrize("loss", LOSSES)
def test_no_change_proves_what_is_false(loss):
    """No single change makes the verifier accept a bound just above the optimum, for a support that is not optimal."""
    problem, proof, best = sample_proof(loss)
    worse = with_worse_support(problem, read_log(proof))
    assert not check_proof(problem, write_log(with_bounds(worse, lower_bound=best * (1 + 1e-6)))).proved
    names = [name for name in worse if name not in CLAIM]
    assert sweep(problem, with_bounds(worse, lower_bound=best * (1 + 1e-6)), best, names) == 0


@given(st.sampled_from(LOSSES), st.data())
@settings(max_examples=200)
def test_no_changes_together_prove_what_is_false(loss, data):
    problem, proof, best = sample_proof(loss)
    log = with_bounds(with_worse_support(problem, read_log(proof)), lower_bound=best * (1 + 1e-6))
    for _ in range(data.draw(st.integers(1, 12))):
        name = data.draw(st.sampled_from([key for key in log if key not in CLAIM]))
        if np.size(log[name]):
            changed = mutations(np.asarray(log[name]), data.draw(st.integers(0, np.size(log[name]) - 1)))
            log = log | {name: data.draw(st.sampled_from(changed))}
    assert not check_proof(problem, write_log(log)).proved
