"""Proof logs: the arrays that are written, and the tree of a real search."""

import numpy as np
import pytest

from sparse_probing.probes.optimal.branch_and_bound.solver import branch_and_bound
from sparse_probing.probes.optimal.proofs.log import ROOT, WITH, WITHOUT, Claim, ProofLog
from sparse_probing.probes.optimal.result import MARGIN, Limits
from sparse_probing.probes.optimal.support_fit import Certificate
from tests.builders.optimal.instances import LOSSES, hard, without_local_search
from tests.builders.optimal.logs import read_log


def test_a_log_holds_what_was_recorded():
    log = ProofLog([(ROOT, ROOT, -1), (0, WITH, 3), (0, WITHOUT, 3)])
    log.branched[0] = 3
    log.certificates[2] = Certificate(np.array([1, 4]), np.array([0.5, -2.0]), 0.25, 0.1)
    log.enumerated.add(1)
    log.supports.append(Certificate(np.array([3]), np.array([7.0]), -1.0, 0.0))
    arrays = read_log(log.dumps(Claim("hinge", 0.5, 1, (3,), np.array([7.0]), -1.0, 10.0, 9.0)))
    assert arrays["parent"].tolist() == [-1, 0, 0]
    assert arrays["side"].tolist() == [-1, 1, 0]
    assert arrays["neuron"].tolist() == [-1, 3, 3]
    assert arrays["branch"].tolist() == [3, -1, -1]
    assert arrays["enumerated"].tolist() == [False, True, False]
    assert arrays["node_end"].tolist() == [0, 0, 2]
    assert arrays["node_columns"].tolist() == [1, 4]
    assert arrays["node_coef"].tolist() == [0.5, -2.0]
    assert arrays["node_delta"].tolist() == [-1.0, -1.0, 0.1]
    assert arrays["node_intercept"].tolist() == [0.0, 0.0, 0.25]
    assert arrays["support_end"].tolist() == [1]
    assert arrays["support_columns"].tolist() == [3]
    claim = {name: arrays[name].item() for name in ("loss", "ridge", "k", "intercept", "upper_bound", "lower_bound")}
    assert claim == {
        "loss": "hinge", "ridge": 0.5, "k": 1, "intercept": -1.0, "upper_bound": 10.0, "lower_bound": 9.0
    }  # fmt: skip
    assert arrays["support"].tolist() == [3]
    assert arrays["coef"].tolist() == [7.0]


def test_an_empty_log_can_be_written():
    arrays = read_log(ProofLog().dumps(Claim("hinge", 0.5, 1, (3,), np.array([7.0]), -1.0, 10.0, 9.0)))
    assert len(arrays["parent"]) == len(arrays["support_end"]) == 0


@pytest.mark.parametrize("loss", LOSSES)
def test_the_log_of_a_search_is_a_tree(loss):
    with without_local_search():
        fit = branch_and_bound(hard(loss), 3, Limits(), proof=True)
    log = read_log(fit.proof)
    assert len(log["parent"]) == fit.nodes > 3
    assert (log["parent"] < np.arange(fit.nodes)).all()
    for node in np.flatnonzero(log["branch"] >= 0):
        children = np.flatnonzero(log["parent"] == node)
        assert sorted(log["side"][children].tolist()) == [WITHOUT, WITH]
        assert (log["neuron"][children] == log["branch"][node]).all()
    assert log["support"].tolist() == list(fit.support)
    assert log["upper_bound"] == fit.objective
    assert log["lower_bound"] == pytest.approx(fit.lower_bound - MARGIN * fit.objective, rel=1e-14)


def test_no_log_unless_requested():
    assert branch_and_bound(hard("squared"), 2, Limits()).proof is None
