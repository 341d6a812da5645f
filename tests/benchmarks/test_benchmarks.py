"""Every benchmark runs at a tiny size, and measures what it says."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from benchmarks._language_models import EVERY_TOKEN, harvest_config
from benchmarks._layers import stored_layer, synthetic_layer
from benchmarks._report import Seconds, alternate, median_ratio, print_table
from benchmarks.harvest_overhead import OverheadConfig, bare_model, largest_difference
from benchmarks.harvest_overhead import compare as compare_harvest
from benchmarks.memory_of_harvest import MemoryConfig
from benchmarks.memory_of_harvest import compare as compare_memory
from benchmarks.sweep_against_sklearn import PEERS, Probe, SweepConfig, objective, our_sweep, peer_sweep
from benchmarks.sweep_against_sklearn import compare as compare_sweep
from experiments.activations.harvest import prepare_harvest, run_harvest


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
    assert [row["stored"] for row in rows] == ["every token", "5 tokens", "mean"]
    assert [row["rows"] for row in rows] == [f"{18 * 15}", f"{18 * 5}", "18"]
    assert all(float(str(row["largest difference"])) < 1e-3 for row in rows)
    assert all(float(str(row["ours / sdpa"])) > 0 for row in rows)


def test_another_model_is_seen_as_a_difference(tmp_path: Path) -> None:
    job = prepare_harvest(harvest_config(tmp_path, "tiny", 18, 16, EVERY_TOKEN))
    store, same, other = run_harvest(job), bare_model(job, "sdpa"), bare_model(job, "sdpa")
    other.get_parameter("gpt_neox.layers.1.mlp.dense_h_to_4h.weight").data.mul_(2)
    assert largest_difference(store, same, job) < 1e-3
    assert largest_difference(store, other, job) > 1e-2


@pytest.mark.slow
def test_memory_of_harvest_counts_four_times_the_rows() -> None:
    small, large, ratio = compare_memory(MemoryConfig("tiny", n_sequences=18, context_length=16))
    assert (small["rows"], large["rows"]) == (f"{18 * 15}", f"{18 * 15 * 4:,}")
    assert ratio["rows"] == "4.00 x"
    assert 0.9 < float(str(ratio["peak, MB"]).removesuffix(" x")) < 1.1


def test_sweep_reaches_an_equal_or_lower_objective() -> None:
    rows = compare_sweep(SweepConfig(n_train=140, width=8, n_features=2, max_k=4, repeats=1))
    assert [row["contender"] for row in rows] == ["ours", *PEERS]
    assert all(row["same neurons"] == row["probes"] == 2 * 4 for row in rows)
    assert all(float(str(row["worst difference"])) < 1e-8 for row in rows)


def test_objective_is_the_one_that_scikit_learn_minimises() -> None:
    (data,) = synthetic_layer(140, 8, 1)
    theirs = peer_sweep(PEERS["newton-cholesky"], data, 4)[-1]
    unbalanced = LogisticRegression().fit(data.x_train[:, theirs.support], data.y_train)
    worse = Probe(theirs.support, unbalanced.coef_[0], float(unbalanced.intercept_[0]), 0.0)
    ours = our_sweep(data, 4)[-1]
    assert objective(data, ours) == pytest.approx(objective(data, theirs), rel=1e-6)
    assert objective(data, worse) > 1.01 * objective(data, theirs)


def test_synthetic_features_are_planted_in_correlated_neurons() -> None:
    data = next(synthetic_layer(700, 32, 4))
    assert data.x_train.shape == (700, 32)
    assert data.x_test.shape == (300, 32)
    assert 0.05 < (data.y_train > 0).mean() < 0.25
    between = np.abs(np.corrcoef(data.x_train, rowvar=False)[~np.eye(32, dtype=bool)])
    assert between.mean() > 0.1
    means = [data.x_test[data.y_test == side].mean(0) for side in (1, -1)]
    best = our_sweep(data, 1)[0].support[0]
    assert best == np.argmax(np.abs(means[0] - means[1]))


def test_a_store_can_be_probed(tmp_path: Path) -> None:
    config = harvest_config(tmp_path, "tiny", 45, 16, positions_per_sequence=3)
    run_harvest(prepare_harvest(config))
    data = list(stored_layer(config.store_path, str(config.feature_dataset_dir / config.feature_dataset), 1))
    assert len(data) == 9
    assert {len(d.y_train) + len(d.y_test) for d in data} == {45 * 3}
