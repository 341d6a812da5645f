"""No change of a proof, or of the data, makes the verifier accept a false bound."""

from __future__ import annotations

import io
import pickle  # noqa: TID251, S403 - the verifier must reject it

import numpy as np
import pytest

from sparse_probing.probes.optimal.problem import SparseProblem
from sparse_probing.probes.optimal.proofs.verify import verify
from tests.builders.optimal.instances import LOSSES
from tests.builders.optimal.logs import (
    WIDTH,
    Log,
    check_proof,
    read_log,
    sample_proof,
    with_bounds,
    without_node,
    without_support,
    write_log,
)


@pytest.mark.parametrize("loss", LOSSES)
def test_the_sample_has_branches_and_supports(loss):
    """The tests below rely on this."""
    problem, proof, _ = sample_proof(loss)
    log = read_log(proof)
    assert len(log["parent"]) >= 5
    assert log["enumerated"].sum() >= 2
    assert len(log["support_end"]) >= 8
    assert check_proof(problem, proof).proved


@pytest.mark.parametrize("loss", LOSSES)
def test_no_node_can_be_dropped(loss):
    problem, proof, _ = sample_proof(loss)
    log = read_log(proof)
    for node in range(len(log["parent"])):
        assert not check_proof(problem, write_log(without_node(log, node))).proved


@pytest.mark.parametrize("loss", LOSSES)
def test_no_needed_support_can_be_dropped(loss):
    problem, proof, _ = sample_proof(loss)
    log = read_log(proof)
    n = len(log["support_end"])
    verdicts = [check_proof(problem, write_log(without_support(log, i))) for i in range(n)]
    assert not all(verdict.proved for verdict in verdicts)
    assert all("has no certificate" in verdict.reason for verdict in verdicts if not verdict.proved)
    nothing = log | {
        f"support_{part}": log[f"support_{part}"][:0] for part in ("end", "columns", "coef", "intercept", "delta")
    }
    assert not check_proof(problem, write_log(nothing)).proved


@pytest.mark.parametrize("loss", LOSSES)
def test_bounds_that_are_not_proved(loss):
    problem, proof, best = sample_proof(loss)
    log = read_log(proof)
    upper = float(log["upper_bound"])
    for lower in (upper, best * (1 + 1e-9), upper * (1 + 1e-9), np.inf, np.nan):
        assert not check_proof(problem, write_log(with_bounds(log, lower_bound=lower))).proved or lower <= best
    for higher in (0.99 * upper, upper * (1 - 1e-8), upper * (1 + 1e-8), -upper, 0.0, np.nan, np.inf):
        assert not check_proof(problem, write_log(with_bounds(log, upper_bound=higher))).proved


@pytest.mark.parametrize("loss", LOSSES)
def test_trees_with_swapped_or_missing_branches(loss):
    problem, proof, _ = sample_proof(loss)
    log = read_log(proof)
    inner = log["side"] >= 0
    swapped = log | {"side": np.where(inner, 1 - log["side"], log["side"])}
    one_side = log | {"side": np.where(inner, 1, log["side"]).astype(np.int8)}
    other_neuron = log | {"neuron": np.where(inner, (log["neuron"] + 1) % WIDTH, log["neuron"])}
    also_branch = log | {"branch": np.where(log["branch"] >= 0, (log["branch"] + 1) % WIDTH, -1)}
    nodes = ("parent", "side", "neuron", "branch", "enumerated")
    empty = log | {name: log[name][:0] for name in nodes}
    only_root = log | {name: log[name][:1] for name in nodes}
    no_root = log | {name: log[name][1:] for name in nodes}
    all_closed = log | {"branch": np.full_like(log["branch"], -1)}
    self_parent = log | {"parent": np.arange(len(log["parent"]))}
    for tampered in (swapped, one_side, other_neuron, also_branch, empty, only_root, no_root, all_closed, self_parent):
        assert not check_proof(problem, write_log(tampered)).proved
    assert not check_proof(problem, write_log(with_bounds(empty, lower_bound=float(log["upper_bound"])))).proved


def largest_mover(problem: SparseProblem, log: Log) -> int:
    """Return the row with the largest residual, whose change changes the objective."""
    f = log["coef"] @ problem.columns[log["support"]] + float(log["intercept"])
    return int(np.argmax(np.abs(problem.y - f)))


@pytest.mark.parametrize("loss", LOSSES)
def test_other_data(loss):
    """A proof holds only for its data: any other label, weight, value or order of neurons is rejected."""
    problem, proof, _ = sample_proof(loss)
    log = read_log(proof)
    row, (first, second) = largest_mover(problem, log), log["support"]
    for change in ("label", "weight", "value", "column", "order", "rows"):
        columns, y, weight = problem.columns.copy(), problem.y.copy(), problem.weight.copy()
        if change == "label":
            y[row] = -y[row]
        elif change == "weight":
            weight[row] *= 1.001
        elif change == "value":
            columns[first, row] += 0.01
        elif change == "column":
            columns[second] *= -1
        elif change == "order":
            columns = columns[::-1]
        else:
            columns, y, weight = columns[:, 1:], y[1:], weight[1:]
        assert not verify(columns, y, weight, proof).proved, change


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_data_that_are_not_finite(loss, value):
    problem, proof, _ = sample_proof(loss)
    for part in ("columns", "y", "weight"):
        data = {name: getattr(problem, name).copy() for name in ("columns", "y", "weight")}
        data[part].flat[3] = value
        with np.errstate(all="ignore"):
            assert not verify(**data, proof=proof).proved


@pytest.mark.parametrize("loss", LOSSES)
def test_damaged_files(loss):
    problem, proof, _ = sample_proof(loss)
    for end in {0, 1, 2, 4, 30, len(proof) // 2, len(proof) - 30, len(proof) - 1}:
        assert not check_proof(problem, proof[:end]).proved
    rng = np.random.default_rng(0)
    true = float(read_log(proof)["lower_bound"])
    for _ in range(150):
        damaged = bytearray(proof)
        damaged[rng.integers(len(damaged))] ^= 1 << rng.integers(8)
        if check_proof(problem, bytes(damaged)).proved:
            assert float(read_log(bytes(damaged))["lower_bound"]) == true
    for other in (b"not a file at all", pickle.dumps({"k": 2}), npy(np.arange(3)), b"PK\x03\x04"):
        verdict = check_proof(problem, other)
        assert not verdict.proved
        assert "not sound" in verdict.reason


def npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def test_a_pickle_inside_is_not_loaded(tmp_path):
    problem, proof, _ = sample_proof("hinge")
    witness = tmp_path / "loaded"

    class Trap:
        def __reduce__(self):
            return witness.touch, ()

    log = read_log(proof)
    for name in log:
        tampered = write_log(log | {name: np.array([Trap()], object)})
        witness.unlink(missing_ok=True)
        assert not check_proof(problem, tampered).proved
        assert not witness.exists()


@pytest.mark.parametrize("name", ["loss", "ridge", "k", "parent", "node_coef", "support_end", "lower_bound", "branch"])
def test_arrays_that_are_missing_or_have_another_type(name):
    problem, proof, _ = sample_proof("hinge")
    log = read_log(proof)
    without = {key: value for key, value in log.items() if key != name}
    assert not check_proof(problem, write_log(without)).proved
    for other in (np.array("x"), np.array(["x", "y"]), np.array(1j), np.inf, np.empty((0, 2)), np.zeros((3, 3, 3))):
        assert not check_proof(problem, write_log(log | {name: other})).proved
