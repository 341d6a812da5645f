"""Studies of optimal supports under the paper's names: its ridges, its candidates, its steps."""

import dataclasses

import numpy as np
import pytest
from sklearn.feature_selection import f_classif
from sklearn.linear_model import LogisticRegression

from sparse_probing.studies import STUDIES
from sparse_probing.studies.optimal.candidates import Candidates
from sparse_probing.studies.optimal.papers_filtering import largest_coefficients
from tests.builders.optimal.reference import brute_force
from tests.builders.studies import N_TRAIN, PLANTED, WIDTH, planted_data, rank_and_fit


def optimal(probes):
    return [p for p in probes if p.probe.startswith("optimal")]


def in_paper_units(data):
    x = data.layer[data.train.row].astype(np.float64)
    return x / (10 * x.std(axis=0))


def scattered(**options):
    """Return planted data whose neurons have very different scales, which raw mean differences are misled by."""
    data = planted_data(**options)
    return dataclasses.replace(data, layer=np.asfortranarray(data.layer * np.logspace(-1, 1, WIDTH, dtype=np.float32)))


@pytest.fixture
def few(config):
    return config.with_flags(osp_heuristic_filter_size=10)


def test_tuning_reports_every_ridge_of_the_papers_grid_and_chooses_none(few):
    probes = optimal(rank_and_fit(STUDIES["osp_tuning"], few, scattered(shift=1.0)))
    # 20 % of the rows, of which the paper trains on those that are not for testing.
    grid = [(0.2 * N_TRAIN) ** -p for p in (0.75, 2 / 3, 7 / 12, 1 / 2, 5 / 12, 1 / 3)]
    assert [p.further["ridge"] for p in probes] == pytest.approx(np.repeat(grid, 2).tolist())
    assert [len(p.support) for p in probes] == [1, 2] * 6
    assert all("chosen" not in p.further for p in probes)
    assert all(p.further["proof_status"] == "proved" for p in probes)


def test_tuning_searches_among_the_best_by_the_mean_difference_of_scaled_neurons(few):
    data = scattered(shift=1.0)
    x, y = in_paper_units(data), data.train.label
    difference = np.abs(x[y > 0].mean(axis=0) - x[y < 0].mean(axis=0))
    for probe in optimal(rank_and_fit(STUDIES["osp_tuning"], few, data)):
        assert probe.further["candidates"].tolist() == np.sort(np.argsort(-difference)[:10]).tolist()
        assert PLANTED in probe.support


@pytest.mark.parametrize(("flag", "size"), [(0, 50), (-1, 50), (12, 12)])
def test_the_papers_filter_is_50_unless_a_size_is_given(config, flag, size):
    config = config.with_flags(osp_heuristic_filter_size=flag, osp_upto_k=1)
    data = planted_data(shift=1.0)
    wide = np.hstack([data.layer, np.random.default_rng(0).standard_normal(data.layer.shape).astype(np.float32)])
    data = dataclasses.replace(data, layer=np.asfortranarray(wide))
    for name in ("osp_tuning", "osp_iterative_pruning", "test_osp_heuristic_filtering"):
        probes = optimal(rank_and_fit(STUDIES[name], config, data))
        assert min(p.further["n_candidates"] for p in probes) == size


def test_pruning_takes_the_neuron_whose_own_probe_is_best_out_of_the_candidates(few):
    config = few.with_flags(iterative_pruning_fixed_k=3)
    data = scattered(shift=1.0)
    probes = rank_and_fit(STUDIES["osp_iterative_pruning"], config, data)
    x, y = data.layer[data.train.row].astype(np.float64), data.train.label
    order = np.argsort(-f_classif(x, y)[0])
    removed, seen, f1 = [], set(), {}
    for step in range(4):
        (own,) = [p for p in optimal(probes) if p.further["step"] == step]
        left = [j for j in order if j not in removed][:10]
        assert own.further["candidates"].tolist() == sorted(left)
        assert own.further["ridge"] == pytest.approx(10 / N_TRAIN)
        sparse = Candidates(config, data, data.select(np.sort(left))).sparse_problem(own.further["ridge_multiplier"])
        values = brute_force(sparse, 3)
        best = min(values, key=values.get)
        assert np.sort(left)[list(best)].tolist() == own.support.tolist()
        singles = [p for p in probes if p.probe == "single_neuron_logistic" and p.further["step"] == step]
        assert {int(p.support[0]) for p in singles} == set(own.support.tolist()) - seen  # each neuron once
        seen |= {int(p.support[0]) for p in singles}
        f1 |= {int(p.support[0]): p.metrics["train_f1_score"] for p in singles}
        removed.append(max(own.support.tolist(), key=f1.get))
    assert removed[0] == PLANTED


def test_the_single_neurons_of_pruning_are_logistic_probes(few):
    data = scattered(shift=1.0)
    x, y = data.layer[data.train.row].astype(np.float64), data.train.label
    probes = rank_and_fit(STUDIES["osp_iterative_pruning"], few, data)
    singles = [p for p in probes if p.probe == "single_neuron_logistic"]
    assert len(singles) >= 5
    for probe in singles:
        reference = LogisticRegression(C=0.5, class_weight="balanced", solver="newton-cholesky", tol=1e-12)
        reference.fit(x[:, probe.support], y)
        assert probe.coef == pytest.approx(reference.coef_[0], rel=1e-4, abs=1e-5)


def test_the_filter_is_the_papers_elastic_net_probe(few):
    data = scattered(shift=1.0)
    x, y = in_paper_units(data), data.train.label
    reference = LogisticRegression(
        C=1.0, l1_ratio=0.8, class_weight="balanced", solver="saga", max_iter=20_000, tol=1e-10
    ).fit(x, y)
    size = np.abs(reference.coef_[0])
    nonzero = np.flatnonzero(size > 1e-8)
    assert 1 <= len(nonzero) < 10
    found = largest_coefficients(few, data)
    assert set(nonzero) <= set(found.tolist())
    fill = [j for j in range(WIDTH) if j not in nonzero][: 10 - len(nonzero)]
    assert found.tolist() == sorted([*nonzero.tolist(), *fill])


def test_filtering_compares_the_whole_layer_with_the_filtered_one(few):
    data = scattered(shift=0.5)
    probes = optimal(rank_and_fit(STUDIES["test_osp_heuristic_filtering"], few, data))
    assert [(p.further["n_candidates"], len(p.support)) for p in probes] == [(30, 1), (30, 2), (10, 1), (10, 2)]
    assert [p.ranking for p in probes] == ["", "", "elastic_net", "elastic_net"]
    for whole, filtered in zip(probes[:2], probes[2:], strict=True):
        assert whole.further["excess"] == 0
        assert filtered.further["excess"] == pytest.approx(filtered.objective / whole.objective - 1)
        assert filtered.further["excess"] >= -few.optimal.osp_gap
        assert filtered.further["ridge"] == pytest.approx(10 / N_TRAIN)
