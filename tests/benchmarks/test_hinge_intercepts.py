"""Intercepts of optimal hinge probes: the reported one has the F1 of its row, and lies between the ends."""

import pandas as pd
import pytest

from benchmarks.hinge_intercepts import compare, summary
from sparse_probing.runs.launch import run_probing
from sparse_probing.runs.load_results import load_results


def test_the_reported_intercept_has_the_f1_of_its_row(plant):
    run = run_probing(plant().with_flags(experiment_type=("optimal_sparse_probing",), osp_upto_k=2))
    probes = pd.DataFrame(compare(run))
    rows = load_results(run)
    rows = rows[(rows["probe"] == "optimal_hinge") & (rows["control"] == "")]
    assert sorted(probes["reported"]) == pytest.approx(sorted(rows["test_f1_score"]))
    assert (probes["width"] >= 0).all()
    table = summary(probes)
    assert [row["k"] for row in table] == [1, 2]
    assert sum(row["probes"] for row in table) == len(rows)


def test_probes_that_are_far_below_their_refit_are_counted():
    probe = {"k": 1, "rows": 100, "width": 0.5, "lowest": 0.2, "middle": 0.5, "highest": 0.3, "refit": 0.8}
    (row,) = summary(pd.DataFrame([{**probe, "reported": 0.75}, {**probe, "reported": 0.6}]))
    assert row["> 0.1 below the refit: middle"] == 2
    assert row["reported"] == 1
    assert row["F1, reported"] == "0.675"
