"""The benchmark of optimal supports at a tiny size: shortcuts, filters, time limits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks._language_models import harvest_config
from benchmarks.optimal_probes import FILTER, Feature, TableConfig, _solve, compare, planted_features, solve_in
from sparse_probing.activations.harvest import prepare_harvest, run_harvest
from sparse_probing.probes.optimal.branch_and_bound.solver import branch_and_bound


def number(value: object) -> float:
    return float(str(value))


def test_no_shortcut_is_better_than_a_proved_support() -> None:
    rows = compare(TableConfig(sizes=((200, 80),), n_features=2, ks=(1, 4), ridges=(1.0, 10.0), wide=False))
    assert [(row["m"], row["k"]) for row in rows] == [("1", 1), ("1", 4), ("10", 1), ("10", 4)]
    assert all(row["proved"] == "2 of 2" for row in rows)
    assert all(number(row["gap, %: median"]) <= 0.01 for row in rows)
    assert all(-0.01 <= number(row["best of 50, % above: median"]) <= number(row["most"]) for row in rows)
    assert all(number(row["top k, % above"]) >= -0.01 for row in rows)
    assert max(number(row["top k, % above"]) for row in rows) > 0.1


def test_a_filter_without_the_best_neuron_is_reported() -> None:
    rng = np.random.default_rng(0)
    y = np.where(np.arange(300) < 60, 1.0, -1.0)
    weak = rng.standard_normal((300, FILTER)) * 10 + 4 * y[:, None]
    informative = (rng.standard_normal(300) + 1.5 * y)[:, None]
    feature = Feature(np.concatenate([weak, informative], axis=1), y)
    assert feature.ranked[-1] == FILTER
    solved = _solve(feature, 1.0, 1, "hinge", 10.0)
    assert solved.fit.support == (FILTER,)
    assert solved.outside
    assert solved.top >= solved.filtered > 0.05


def test_a_search_ends_with_its_cpu_time() -> None:
    (feature,) = planted_features(400, 200, 1)
    problem = feature.problem(30.0, "hinge")
    solve_in(60.0, branch_and_bound, problem, 1)  # nothing is left to be compiled
    fit, cpu = solve_in(0.2, branch_and_bound, problem, 10)
    assert fit.status == "interrupted"
    assert cpu >= 0.2


def test_features_are_scaled_and_planted() -> None:
    first, second = planted_features(100, 12, 2)
    assert first.size == "100 x 12"
    assert not np.array_equal(first.y, second.y)
    problem = first.problem(3.0, "logistic")
    assert problem.ridge == pytest.approx(0.3)
    assert problem.columns.std(axis=1) == pytest.approx(0.1, rel=1e-5)
    assert problem.weight[first.y > 0].sum() == pytest.approx(50)


@pytest.mark.slow
def test_a_store_can_be_probed(tmp_path: Path) -> None:
    config = harvest_config(tmp_path, "tiny", 45, 16, positions_per_sequence=3)
    run_harvest(prepare_harvest(config))
    dataset = str(config.activations.feature_dataset_dir / config.activations.feature_dataset)
    rows = compare(
        TableConfig(store=config.store_folder(), feature_dataset=dataset, layers=(0, 1), ks=(2,), ridges=(1.0,))
    )
    assert [row["layer"] for row in rows] == ["layer 0", "layer 1"]
    assert all(row["proved"] == "9 of 9" for row in rows)
