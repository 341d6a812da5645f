"""The benchmarks of rankings and of probes of all neurons at a tiny size: peers and objectives."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.all_neurons import PEERS, AllNeuronsConfig, objective
from benchmarks.all_neurons import compare as compare_probes
from benchmarks.rankings import RankingsConfig, compare_one_feature, make_features
from benchmarks.rankings import compare as compare_rankings
from sparse_probing.probes.l2.single_neuron import fit_single_neurons
from sparse_probing.probes.rankings import RANKINGS


def test_rankings_agree_with_their_peers() -> None:
    rows = compare_rankings(RankingsConfig(n_train=300, width=24, n_features=4, peer_neurons=8, repeats=1))
    assert [row["ranking"] for row in rows] == ["read", "copy", *RANKINGS]
    exact = ("mean_dif", "mean_dif_standardised", "f_stat", "auc")
    assert all(float(str(row["difference"])) < 1e-5 for row in rows if row["ranking"] in exact)


def test_linear_models_of_one_feature_are_precise_and_find_the_peers_neurons() -> None:
    rows = compare_one_feature(RankingsConfig(one_feature=((400, 32), (60, 80)), repeats=1))
    assert [(row["ranking"], row["neurons"]) for row in rows] == [("lr", 32), ("svm", 32), ("lr", 80), ("svm", 80)]
    assert all(float(str(row["error"])) < 1e-2 for row in rows)
    assert all(int(str(row["same of 16 best"])) >= 10 for row in rows if row["ranking"] == "svm")


def test_features_have_different_rows() -> None:
    X, features = make_features(RankingsConfig(n_train=70, width=8, n_features=3))
    assert X.shape == (100, 8)
    assert {len(p.row) for p in features} == {70}
    assert not np.array_equal(features[0].row, features[1].row)


def test_probes_reach_an_equal_or_lower_objective() -> None:
    rows = compare_probes(AllNeuronsConfig(n_train=300, width=12, n_features=3, peer_neurons=4))
    assert [row["contender"] for row in rows] == ["ours", *PEERS]
    assert rows[0]["all converged"] == "yes"
    assert rows[0]["probes"] == "36"
    assert all(float(str(row["worst difference"])) < 1e-8 for row in rows[1:])


def test_objective_is_the_one_that_is_minimised() -> None:
    X, features = make_features(RankingsConfig(n_train=70, width=1, n_features=1))
    x, y = X[features[0].row], features[0].label
    fit = fit_single_neurons(x, y)
    assert objective(x[:, 0], y, fit.coef[0], fit.intercept[0]) == pytest.approx(fit.objective[0])
    assert objective(x[:, 0], y, fit.coef[0] + 1, fit.intercept[0]) > fit.objective[0]
