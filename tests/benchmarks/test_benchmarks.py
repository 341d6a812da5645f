"""Timing, tables, and the benchmarks of stage 1 at a tiny size."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from benchmarks._language_models import EVERY_TOKEN, harvest_config
from benchmarks._report import Seconds, alternate, median_ratio, print_table
from benchmarks.harvest_overhead import OverheadConfig, bare_model, largest_difference
from benchmarks.harvest_overhead import compare as compare_harvest
from benchmarks.memory_of_harvest import MemoryConfig
from benchmarks.memory_of_harvest import compare as compare_memory
from sparse_probing.activations.harvest import prepare_harvest, run_harvest


def test_contenders_take_turns_and_the_first_turn_is_not_timed() -> None:
    calls: list[str] = []
    times = alternate({name: partial(calls.append, name) for name in "ab"}, repeats=2)
    assert calls == ["a", "b", "a", "b", "a", "b"]
    assert {name: len(runs) for name, runs in times.items()} == {"a": 2, "b": 2}


def test_the_ratio_is_the_median_over_turns() -> None:
    ours, theirs = ([Seconds(wall, wall / 2) for wall in walls] for walls in ((2, 30, 8), (1, 10, 2)))
    assert median_ratio(ours, theirs) == 3
    assert median_ratio(theirs, ours, "cpu") == 1 / 3


def test_table(capsys: pytest.CaptureFixture[str]) -> None:
    print_table([{"a": 1, "b": "x"}, {"a": 2, "b": "y"}])
    assert capsys.readouterr().out == "| a | b |\n| --- | --- |\n| 1 | x |\n| 2 | y |\n"


@pytest.mark.slow
def test_harvest_overhead_stores_what_the_bare_model_computes() -> None:
    rows = compare_harvest(OverheadConfig(sizes=("tiny",), n_sequences=18, context_length=16, repeats=1))
    assert [row["stored"] for row in rows] == ["every token", "one token in ten", "mean"]
    assert [row["rows"] for row in rows] == [f"{18 * 15}", "18", "18"]
    assert all(float(str(row["largest difference"])) < 1e-3 for row in rows)
    assert all(float(str(row["ours / bare"])) > 0 for row in rows)


def test_another_model_is_a_difference(tmp_path: Path) -> None:
    job = prepare_harvest(harvest_config(tmp_path, "tiny", 18, 16, EVERY_TOKEN))
    store, same, other = run_harvest(job), bare_model(job), bare_model(job)
    other.get_parameter("gpt_neox.layers.1.mlp.dense_h_to_4h.weight").data.mul_(2)
    assert largest_difference(store, same, job) < 1e-3
    assert largest_difference(store, other, job) > 1e-2


@pytest.mark.slow
def test_memory_of_harvest_counts_sixteen_times_the_rows() -> None:
    small, middle, large, ratio = compare_memory(MemoryConfig("tiny", n_sequences=18, context_length=16))
    rows = [row["rows"] for row in (small, middle, large)]
    assert rows == [f"{18 * 15}", f"{18 * 15 * 4:,}", f"{18 * 15 * 16:,}"]
    assert ratio["rows"] == "16.00 x"
    assert 0.9 < float(str(ratio["peak, MB"]).removesuffix(" x")) < 1.1
