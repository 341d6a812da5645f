"""Telescopic sweeps: the paper's penalties on the paper's scale, its whole grid, and our choice from it."""

import dataclasses
import warnings

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from sparse_probing.studies import STUDIES
from sparse_probing.studies.telescopic import penalty_of_k
from tests.builders.studies import PLANTED, WIDTH, planted_data, rank_and_fit


def scattered(scale=1.0, **options):
    data = planted_data(**options)
    factors = scale * np.logspace(-1, 1, WIDTH, dtype=np.float32)
    return dataclasses.replace(data, layer=np.asfortranarray(data.layer * factors))


def reference(data, ks, penalty):
    """Return support (a set), scores on the training rows, by the paper's procedure with scikit-learn, by k."""
    x, y = data.layer[data.train.row].astype(np.float64), data.train.label
    x /= 10 * np.maximum(x.std(axis=0), 1e-3)
    order = np.argsort(-np.abs(x[y > 0].mean(axis=0) - x[y < 0].mean(axis=0)))
    found = {}
    for k in reversed(ks):
        support = order[:k]
        C, l1_ratio = penalty(k)
        model = LogisticRegression(
            C=C, l1_ratio=l1_ratio, class_weight="balanced", solver="saga", max_iter=50_000, tol=1e-9
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.fit(x[:, support], y)
        found[k] = set(support.tolist()), model.decision_function(x[:, support])
        order = support[np.argsort(-np.abs(model.coef_[0]), kind="stable")]
    return found


def test_the_sweep_is_the_papers_on_neurons_of_deviation_one_tenth(config):
    config = config.with_flags(ks=(4, 8, 16))
    data = scattered(shift=1.5)
    found = reference(data, [4, 8, 16], penalty_of_k)
    x = data.layer[data.train.row].astype(np.float64)
    probes = rank_and_fit(STUDIES["telescopic_sparsity_sweep"], config, data)
    assert [len(p.support) for p in probes] == [4, 8, 16]
    for probe in probes:
        support, scores = found[len(probe.support)]
        assert set(probe.support.tolist()) == support
        np.testing.assert_allclose(x[:, probe.support] @ probe.coef + probe.intercept, scores, atol=2e-3)
        assert probe.ranking == "mean_dif_standardised"
        assert probe.further["scaling"] == "paper"


@pytest.mark.parametrize("name", ["telescopic_sparsity_sweep", "telescopic_choose_penalty"])
def test_the_scale_of_a_layer_does_not_matter(name, config):
    config = config.with_flags(ks=(1, 4))
    for scale in (0.05, 100.0):
        pairs = zip(
            rank_and_fit(STUDIES[name], config, scattered(shift=2.0)),
            rank_and_fit(STUDIES[name], config, scattered(scale, shift=2.0)),
            strict=True,
        )
        for probe, scaled in pairs:
            assert probe.support.tolist() == scaled.support.tolist()
            assert scaled.coef * scale == pytest.approx(probe.coef, rel=1e-3, abs=1e-4)


def test_tuning_keeps_the_whole_grid(config):
    config = config.with_flags(ks=(1, 4))
    data = scattered(shift=2.0)
    probes = rank_and_fit(STUDIES["tune_telescoping_sparsity_sweep"], config, data)
    strengths = (0.01, 0.1, 1.0, 10.0, 100.0)
    grid = [(k, C, ratio) for ratio in (0.1, 0.3, 0.5, 0.7, 0.9) for C in strengths for k in (1, 4)]
    found = [(len(p.support), p.further["regularization"], p.further["l1_ratio"]) for p in probes]
    assert np.array(found) == pytest.approx(np.array(grid))
    assert all("chosen" not in p.further for p in probes)
    x = data.layer[data.train.row].astype(np.float64)
    for place in (7, 45):  # C = 10 with little L1, C = 1 with much
        C, ratio = grid[place][1:]
        support, scores = reference(data, [1, 4], lambda _k, C=C, ratio=ratio: (C, ratio))[4]
        assert set(probes[place].support.tolist()) == support
        np.testing.assert_allclose(
            x[:, probes[place].support] @ probes[place].coef + probes[place].intercept, scores, atol=2e-3
        )


def test_the_chosen_penalty_is_one_of_the_grid_and_finds_the_planted_neuron(config):
    config = config.with_flags(ks=(1, 4))
    probes = rank_and_fit(STUDIES["telescopic_choose_penalty"], config, scattered(shift=2.0))
    assert len({(p.further["regularization"], p.further["l1_ratio"]) for p in probes}) == 1
    assert probes[0].support.tolist() == [PLANTED]
    assert probes[0].coef[0] > 0


def test_a_penalty_that_removes_every_neuron_says_so(config):
    config = config.with_flags(ks=(1,))
    (probe,) = rank_and_fit(STUDIES["telescopic_sparsity_sweep"], config, planted_data(shift=0.1))
    assert probe.coef.tolist() == [0.0]
    assert probe.further["density"] == 0
    assert "The penalty removed every neuron" in probe.status
