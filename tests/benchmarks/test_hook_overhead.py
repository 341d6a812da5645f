"""The benchmark of hooks at a tiny size: every contender is timed and reads the same activations."""

import pytest

from benchmarks.hook_overhead import HookOverheadConfig, compare


@pytest.fixture(scope="module")
def rows():
    return compare(HookOverheadConfig(sizes=("tiny",), batch_size=2, context_length=16, repeats=1))


def test_every_contender_is_timed(rows):
    assert [row["layers"] for row in rows] == [2, 2, 1]
    for row in rows:
        for column in ("ours / bare", "run_with_cache / ours", "SAELens / ours", "sae-probes / ours"):
            assert float(row[column]) > 0


def test_the_activations_are_those_of_the_bridge(rows):
    assert all(float(row["largest difference"]) < 1e-5 for row in rows)
