"""Comparisons of rankings: among the paper's 512 neurons, and over the whole layer."""

import dataclasses

import numpy as np
import pytest
from sklearn.feature_selection import f_classif

from sparse_probing.config import ProbingConfig
from sparse_probing.probes.inputs.validation import LabelledRows
from sparse_probing.probes.rankings import rank_layer
from sparse_probing.studies import STUDIES
from sparse_probing.studies.compare_rankings import COMPARED, PAPER_COMPARED
from tests.builders.studies import planted_data, rank_and_fit

N_NEURONS, SEPARATING = 600, 37
KS = (1, 5, 512, 600)


@pytest.fixture(scope="module")
def data():
    """600 neurons of different scales; neuron 37 separates the classes, and its class means are the least far apart."""
    rng = np.random.default_rng(3)
    made = planted_data()
    label = np.concatenate([made.train.label, made.test.label])
    layer = rng.standard_normal((len(label), N_NEURONS)) * rng.uniform(0.5, 3, N_NEURONS)
    layer += rng.normal(0, 0.4, N_NEURONS) * (label > 0)[:, None]
    layer[:, SEPARATING] = 1e-6 * (label + 0.01 * rng.standard_normal(len(label)))
    return dataclasses.replace(made, layer=np.asfortranarray(layer, dtype=np.float32))


@pytest.fixture(scope="module")
def config():
    return ProbingConfig.from_flags(regularization=1.0, ks=KS)


@pytest.fixture(scope="module")
def best_512(data):
    """The 512 neurons with the largest distance of class means on the training rows, and their activations there."""
    x, y = data.layer[data.train.row].astype(np.float64), data.train.label
    best = np.sort(np.argsort(-np.abs(x[y > 0].mean(0) - x[y < 0].mean(0)), kind="stable")[:512])
    assert SEPARATING not in best
    return best, x[:, best]


@pytest.fixture(scope="module")
def papers(config, data):
    return rank_and_fit(STUDIES["compare_feature_selection"], config, data)


def supports(probes, ranking):
    return {len(p.support): p.support.tolist() for p in probes if p.ranking == ranking}


def test_the_papers_comparison_has_its_five_rankings_among_the_512_best_by_mean_difference(papers, best_512):
    assert PAPER_COMPARED == ("f_stat", "mi", "lr", "mean_dif", "random")
    assert list(dict.fromkeys(p.ranking for p in papers)) == list(PAPER_COMPARED)
    for ranking in PAPER_COMPARED:
        assert list(supports(papers, ranking)) == [1, 5, 512]  # 600 is cut to the 512
        assert sorted(supports(papers, ranking)[512]) == best_512[0].tolist()
    assert {p.further["density"] for p in papers} == {1 / 600, 5 / 600, 512 / 600}


def test_each_ranking_is_computed_on_the_512_only(papers, data, best_512):
    best, x = best_512
    y = data.train.label
    assert supports(papers, "f_stat")[5] == best[np.argsort(-f_classif(x, y)[0])[:5]].tolist()
    difference = np.abs(x[y > 0].mean(0) - x[y < 0].mean(0))
    assert supports(papers, "mean_dif")[5] == best[np.argsort(-difference)[:5]].tolist()
    # An L1 probe is joint: with the separating neuron, which only the whole layer has, it would need hardly any other.
    (of_512,) = rank_layer(x, [LabelledRows(np.arange(len(x)), y)], "lr", [data.rng("ranking")])
    (of_all,) = rank_layer(
        data.layer[data.train.row], [LabelledRows(np.arange(len(x)), y)], "lr", [data.rng("ranking")]
    )
    expected = best[np.argsort(-of_512, kind="stable")[:5]].tolist()
    assert supports(papers, "lr")[5] == expected
    assert np.argsort(-of_all, kind="stable")[:5].tolist() != expected


def test_our_comparison_has_every_ranking_over_the_whole_layer(config, data):
    ours = rank_and_fit(STUDIES["compare_rankings"], config, data)
    assert list(dict.fromkeys(p.ranking for p in ours)) == list(COMPARED)
    assert len(COMPARED) > len(PAPER_COMPARED)
    for ranking in ("auc", "f_stat", "lr", "svm"):
        assert supports(ours, ranking)[1] == [SEPARATING]
    assert sorted(supports(ours, "random")[600]) == list(range(600))


def test_scaled_neurons_are_filtered_by_their_scaled_mean_difference(config, data):
    scaled = dataclasses.replace(data, scaling="paper")
    probes = rank_and_fit(STUDIES["compare_feature_selection"], config, scaled)
    for ranking in ("f_stat", "lr", "mean_dif"):
        assert supports(probes, ranking)[1] == [SEPARATING]
