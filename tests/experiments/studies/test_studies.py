"""The contract of every study, whatever it composes."""

import dataclasses

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score

from experiments.config import ProbingConfig
from experiments.results import COLUMNS, METRICS
from experiments.studies import STUDIES
from experiments.studies.data import SplitData

WIDTH, PLANTED = 30, 11
CONFIG = ProbingConfig(n_neurons=7, max_k=16, regularization=0.5)


def planted_data(shift=2.5, shuffle=False, seed=0):
    """Neuron 11 fires for the feature, which a third of the rows have; the others are noise."""
    rng = np.random.default_rng(seed)
    y = np.where(rng.random(400) < 1 / 3, 1, -1).astype(np.int8)
    x = rng.standard_normal((400, WIDTH)).astype(np.float32)
    x[:, PLANTED] += shift * (y > 0)
    y = rng.permutation(y) if shuffle else y
    return SplitData(x[:300], y[:300], x[300:], y[300:])


def run(study, config=CONFIG, data=None, seed=0):
    return STUDIES[study](config, data or planted_data(), np.random.default_rng(seed))


@pytest.fixture(params=STUDIES)
def study(request):
    return request.param


FROM_THE_TASK = [
    "experiment_name",
    "study",
    "model",
    "revision",
    "random_init",
    "dataset",
    "feature",
    "layer",
    "hook_point",
    "aggregation",
    "control",
    "normalized",
    "seed",
    "n_train",
    "n_test",
    "n_positive_train",
    "n_positive_test",
    "regularization",
]


def test_every_row_has_every_column(study):
    for probe in run(study):
        assert set(probe.as_row()) | set(FROM_THE_TASK) == set(COLUMNS)
        assert set(probe.metrics) == {f"{part}_{metric}" for part in ("train", "test") for metric in METRICS}


def test_every_row_is_sound(study):
    probes = run(study)
    assert probes
    for probe in probes:
        assert len(set(probe.support.tolist())) == len(probe.support) == len(probe.coef)
        assert ((probe.support >= 0) & (probe.support < WIDTH)).all()
        assert np.isfinite([*probe.coef, probe.intercept, probe.objective, *probe.metrics.values()]).all()
        assert all(-1 <= value <= 1 for value in probe.metrics.values())
        assert probe.converged
        assert probe.newton_decrement < 1e-6
        assert probe.iterations >= 1
        assert probe.status == "Converged."


def test_rows_agree_with_scikit_learn(study):
    data = planted_data()
    for probe in run(study, data=data):
        reference = LogisticRegression(C=0.5, class_weight="balanced", solver="newton-cholesky", tol=1e-12)
        reference.fit(data.x_train[:, probe.support].astype(np.float64), data.y_train)
        np.testing.assert_allclose(probe.coef, reference.coef_[0], atol=1e-4)
        assert probe.intercept == pytest.approx(reference.intercept_[0], abs=1e-4)
        for part, x, y in (("train", data.x_train, data.y_train), ("test", data.x_test, data.y_test)):
            scores = x[:, probe.support].astype(np.float64) @ probe.coef + probe.intercept
            assert probe.metrics[f"{part}_f1_score"] == pytest.approx(
                f1_score(y, np.where(scores > 0, 1, -1)), abs=1e-12
            )
            assert probe.metrics[f"{part}_roc_auc"] == pytest.approx(roc_auc_score(y, scores), abs=1e-12)
            area = average_precision_score(y, scores)
            assert probe.metrics[f"{part}_average_precision"] == pytest.approx(area, abs=1e-12)


def test_the_objective_is_the_documented_one(study):
    data = planted_data()
    for probe in run(study, data=data):
        scores = data.x_train[:, probe.support].astype(np.float64) @ probe.coef + probe.intercept
        n_positive = (data.y_train > 0).sum()
        weight = 300 / 2 / np.where(data.y_train > 0, n_positive, 300 - n_positive)
        loss = weight @ np.logaddexp(0, -data.y_train * scores)
        assert probe.objective == pytest.approx(0.5 * loss + probe.coef @ probe.coef / 2, rel=1e-9)


def test_the_planted_neuron_is_found(study):
    first = run(study)[0]
    strongest = first.support[np.argmax(np.abs(first.coef))]
    assert strongest == PLANTED
    assert first.metrics["test_roc_auc"] > 0.9


def test_control_shuffled_labels_are_near_chance(study):
    areas = [run(study, data=planted_data(shuffle=True, seed=s))[0].metrics["test_roc_auc"] for s in range(10)]
    assert np.mean(areas) == pytest.approx(0.5, abs=0.06)


def as_lists(probes):
    return [{k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in p.as_row().items()} for p in probes]


def test_the_same_seed_gives_the_same_rows(study):
    config = dataclasses.replace(CONFIG, heuristic_feature_selection_method="random")
    assert as_lists(run(study, config, seed=3)) == as_lists(run(study, config, seed=3))
    if study != "dense_probe":
        assert as_lists(run(study, config, seed=3)) != as_lists(run(study, config, seed=4))


def test_test_rows_do_not_decide_anything(study):
    data = planted_data()
    other = dataclasses.replace(data, x_test=-data.x_test, y_test=np.roll(data.y_test, 1))
    for probe, same in zip(run(study, data=data), run(study, data=other), strict=True):
        assert np.array_equal(probe.support, same.support)
        assert np.array_equal(probe.coef, same.coef)


@pytest.mark.parametrize("ranking", ["mean_dif", "f_stat", "auc"])
def test_single_neurons_are_ranked_best_first(ranking):
    config = dataclasses.replace(CONFIG, heuristic_feature_selection_method=ranking)
    probes = run("enumerate_monosemantic", config)
    assert [p.rank for p in probes] == list(range(1, 8))
    assert [len(p.support) for p in probes] == [1] * 7
    assert {p.ranking for p in probes} == {ranking}
    assert probes[0].support.tolist() == [PLANTED]


def test_no_more_single_neurons_than_the_layer_has():
    probes = run("enumerate_monosemantic", dataclasses.replace(CONFIG, n_neurons=1000))
    assert sorted(p.support.item() for p in probes) == list(range(WIDTH))


def test_supports_of_a_sweep_are_nested():
    probes = run("heuristic_sparsity_sweep")
    assert [len(p.support) for p in probes] == [1, 2, 3, 4, 5, 6, 7, 8, 12, 16]
    assert [p.rank for p in probes] == [1] + [0] * 9
    for smaller, larger in zip(probes, probes[1:], strict=False):
        assert larger.support[: len(smaller.support)].tolist() == smaller.support.tolist()
        assert larger.objective <= smaller.objective


def test_a_sweep_stops_at_the_width():
    largest = run("heuristic_sparsity_sweep", dataclasses.replace(CONFIG, max_k=1024))[-1]
    assert len(largest.support) == 24


def test_a_dense_probe_has_all_neurons():
    (probe,) = run("dense_probe")
    assert probe.support.tolist() == list(range(WIDTH))
    assert (probe.ranking, probe.rank) == ("", 0)


@pytest.mark.parametrize("study", ["enumerate_monosemantic", "heuristic_sparsity_sweep"])
def test_a_layer_with_one_neuron(study):
    data = planted_data()
    one = dataclasses.replace(data, x_train=data.x_train[:, [PLANTED]], x_test=data.x_test[:, [PLANTED]])
    (probe,) = run(study, data=one)
    assert probe.support.tolist() == [0]
