"""The benchmark of L1 paths at a tiny size: contenders and their gaps."""

from __future__ import annotations

import pytest

pytest.importorskip("skglm")

from benchmarks.l1_path import PathConfig, compare, gaps, make_layer, our_path


def test_ours_reaches_the_gap_and_a_changed_probe_does_not() -> None:
    layer = make_layer(PathConfig(n_rows=120, width=30, n_Cs=3))
    path = our_path(layer)
    assert max(gaps(layer, path)) <= 1e-6
    for flat in path:
        flat[0] += 0.1
    assert min(gaps(layer, path)) > 1e-4


@pytest.mark.slow
def test_l1_path_compares_every_contender() -> None:
    rows = compare(PathConfig(n_rows=120, width=30, n_Cs=3, repeats=1))
    largest = {str(row["contender"]).split(",")[0]: float(str(row["largest gap"])) for row in rows}
    assert set(largest) == {"ours", "skglm", "liblinear", "saga"}
    assert largest["ours"] <= 1e-6
    assert largest["skglm"] < 1e-2
