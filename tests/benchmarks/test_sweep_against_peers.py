"""The sweep and its peers fit the same probes at a tiny size, on the same rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from transformer_lens.tools.analysis.sparse_probing import sweep_sparse_probe

from benchmarks._language_models import harvest_config
from benchmarks._layers import stored_data, synthetic_data
from benchmarks.all_neurons import PEERS
from benchmarks.sweep_against_peers import (
    Probe,
    SweepConfig,
    coefficient_distance,
    compare,
    objective,
    our_sweep,
    sklearn_sweep,
    transformer_lens_sweep,
)
from sparse_probing.activations.harvest import prepare_harvest, run_harvest


def test_contenders_reach_the_same_objective() -> None:
    rows = compare(SweepConfig(n_train=140, width=8, n_features=2, max_k=4, repeats=1))
    assert [row["contender"] for row in rows] == ["ours", *PEERS, "TransformerLens"]
    assert all(row["same neurons"] == row["probes"] == 2 * 4 for row in rows)
    assert all(float(str(row["objective, worst difference"])) < 1e-8 for row in rows)
    assert float(str(rows[-1]["coefficients, largest difference"])) < 1e-3


def test_objective_is_the_one_that_scikit_learn_minimises() -> None:
    (problem,) = synthetic_data(140, 8, 1)
    theirs = sklearn_sweep(PEERS["newton-cholesky"], problem.layer.astype(np.float32), [4], problem)[0]
    unbalanced = LogisticRegression().fit(problem.layer[:, theirs.support][problem.train.row], problem.train.label)
    worse = Probe(theirs.support, unbalanced.coef_[0], float(unbalanced.intercept_[0]))
    ours = our_sweep(4, [problem])[-1]
    assert objective(problem, ours) == pytest.approx(objective(problem, theirs), rel=1e-6)
    assert objective(problem, worse) > 1.01 * objective(problem, theirs)


def test_transformer_lens_takes_the_split_it_is_given() -> None:
    problem = synthetic_data(140, 8, 1)[0]
    wide = problem.layer.astype(np.float32)
    row, label = (np.concatenate([getattr(s, n) for s in (problem.train, problem.test)]) for n in ("row", "label"))
    sides = (torch.arange(len(row)) >= len(problem.train.row)).long()
    x, y = torch.from_numpy(wide[row]), torch.from_numpy(label).long()
    for seed in range(5):
        result = sweep_sparse_probe(x, y, ks=[1], groups=sides, seed=seed).results[0]
        assert np.array_equal(row[result.train_indices], problem.train.row)
        assert np.array_equal(row[result.test_indices], problem.test.row)


def test_transformer_lens_minimises_our_objective() -> None:
    (problem,) = synthetic_data(140, 8, 1)
    (theirs,) = transformer_lens_sweep(problem.layer.astype(np.float32), [4], problem)
    ours = our_sweep(4, [problem])[-1]
    assert coefficient_distance(ours, theirs) < 1e-4
    doubled = Probe(theirs.support, 2 * theirs.coef, theirs.intercept)
    assert objective(problem, doubled) > objective(problem, theirs)


def test_coefficients_are_compared_neuron_by_neuron() -> None:
    a = Probe(np.array([3, 1]), np.array([2.0, 4.0]), -1.0)
    same = Probe(np.array([1, 3]), np.array([4.0, 2.0]), -1.0)
    other = Probe(np.array([1, 3]), np.array([4.0, 2.0]), 1.0)
    assert coefficient_distance(a, same) == 0
    assert coefficient_distance(a, other) == 0.5


def test_synthetic_data_are_planted_in_correlated_neurons() -> None:
    problem = synthetic_data(700, 32, 4)[0]
    x = problem.layer.astype(np.float64)
    assert x.shape == (1000, 32)
    assert len(problem.test.row) == pytest.approx(300, abs=2)
    assert not set(problem.train.row) & set(problem.test.row)
    assert 0.05 < (problem.train.label > 0).mean() < 0.25
    assert np.abs(np.corrcoef(x, rowvar=False)[~np.eye(32, dtype=bool)]).mean() > 0.1
    means = [x[problem.test.row][problem.test.label == side].mean(0) for side in (1, -1)]
    assert our_sweep(1, [problem])[0].support == np.argmax(np.abs(means[0] - means[1]))


def test_a_store_can_be_probed(tmp_path: Path) -> None:
    config = harvest_config(tmp_path, "tiny", 45, 16, positions_per_sequence=3)
    run_harvest(prepare_harvest(config))
    problems = stored_data(
        config.store_folder(), str(config.activations.feature_dataset_dir / config.activations.feature_dataset), 1
    )
    assert len(problems) == 9
    assert {len(p.train.row) + len(p.test.row) for p in problems} == {45 * 3}
    assert len(our_sweep(2, problems)) == 9 * 2
