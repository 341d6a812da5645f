"""The benchmark of supports: those of a run, compared with those of other methods."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.optimal_supports import SupportsConfig, compare, summary
from sparse_probing.config import ProbingConfig
from sparse_probing.runs.launch import run_probing


def test_no_other_support_has_a_smaller_objective_and_the_limit_holds(plant: Callable[..., ProbingConfig]) -> None:
    study = {"experiment_type": ("optimal_sparse_probing",), "osp_upto_k": 3, "test_folds": 2, "layers": (0,)}
    run = run_probing(plant().with_flags(**study))
    table = compare(SupportsConfig((run.path,), ks=(1, 2, 3)))
    assert set(table["method"]) == {"optimal", "optimal, own probe", "best of 50", "mean_dif", "f_stat", "l1"}
    assert (table.groupby(["feature", "layer", "k", "method"]).size() == 1).all()
    assert table["excess"].min() > -run.config.optimal.osp_gap
    assert table["excess"].max() > 0
    assert [row["n"] for row in summary(table)] == [2] * 18
    one = compare(SupportsConfig((run.path,), ks=(1, 2), limit=1))
    assert one.groupby(["feature", "layer"]).ngroups == 1
