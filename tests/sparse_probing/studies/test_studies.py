"""The contract of every study, whatever it composes."""

import dataclasses
from typing import get_args

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score

from sparse_probing.config import ProbingConfig, StudyName
from sparse_probing.results import COLUMNS, METRICS
from sparse_probing.studies import STUDIES

WIDTH, PLANTED = 30, 11

BINARY = [name for name, study in STUDIES.items() if study.kind == "binary"]
L2 = [  # their probes are L2-regularised logistic fits, which scikit-learn has too
    "dense_probe",
    "enumerate_monosemantic",
    "all_neurons",
    "heuristic_sparsity_sweep",
    "fast_heuristic_sparsity_sweep",
    "iterative_pruning",
    "rotation_baseline",
    "compare_feature_selection",
]


TIMES = ("seconds", "seconds_to_support")


def rows(probes):
    """All columns but the times, which no seed decides."""
    return [
        {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in p.as_row().items() if k not in TIMES}
        for p in probes
    ]


def test_every_experiment_type_has_a_study():
    assert set(STUDIES) == set(get_args(StudyName))


@pytest.mark.parametrize("name", STUDIES)
def test_every_row_is_sound(name, config, planted, fit):
    problem = planted(kind=STUDIES[name].kind)
    probes = fit(STUDIES[name], config, problem)
    assert probes
    for probe in probes:
        assert set(probe.as_row()) <= set(COLUMNS)
        assert len(set(probe.support.tolist())) == len(probe.support)
        assert ((probe.support >= 0) & (probe.support < WIDTH)).all()
        assert np.isfinite([*np.ravel(probe.coef), probe.objective]).all()
        assert probe.converged, probe.status
        assert probe.status
        assert probe.iterations >= 0
        assert len([m for m in probe.metrics if m.startswith("test_")]) >= 4
        assert np.isfinite(list(probe.metrics.values())).all()


@pytest.mark.parametrize("name", BINARY)
def test_binary_probes_have_all_metrics_and_a_measure_of_convergence(name, config, planted, fit):
    for probe in fit(STUDIES[name], config, planted()):
        assert {f"test_{metric}" for metric in METRICS} <= set(probe.metrics)
        areas = {"train_roc_auc", "train_average_precision"} if name == "all_neurons" else set()
        assert {f"train_{metric}" for metric in METRICS} - areas <= set(probe.metrics)
        if "optimality_gap" in probe.further:
            assert probe.further["optimality_gap"] <= config.optimal.osp_gap * (1 + 1e-6)
        else:
            assert min(probe.further.get("newton_decrement", 1), probe.further.get("duality_gap", 1)) < 1e-6


@pytest.mark.parametrize("name", L2)
def test_rows_agree_with_scikit_learn(name, config, planted, fit):
    problem = planted()
    data = problem.columns()
    for probe in fit(STUDIES[name], config, problem):
        reference = LogisticRegression(C=0.5, class_weight="balanced", solver="newton-cholesky", tol=1e-12)
        reference.fit(data.x_train[:, probe.support].astype(np.float64), data.y_train)
        np.testing.assert_allclose(probe.coef, reference.coef_[0], atol=1e-4)
        assert probe.intercept == pytest.approx(reference.intercept_[0], abs=1e-4)
        for part, x, y in (("train", data.x_train, data.y_train), ("test", data.x_test, data.y_test)):
            scores = x[:, probe.support].astype(np.float64) @ probe.coef + probe.intercept
            assert probe.metrics[f"{part}_f1_score"] == pytest.approx(
                f1_score(y, np.where(scores > 0, 1, -1)), abs=1e-12
            )
            if name == "all_neurons" and part == "train":
                continue
            assert probe.metrics[f"{part}_roc_auc"] == pytest.approx(roc_auc_score(y, scores), abs=1e-12)
            area = average_precision_score(y, scores)
            assert probe.metrics[f"{part}_average_precision"] == pytest.approx(area, abs=1e-12)


@pytest.mark.parametrize("name", L2)
def test_standardised_probes_give_the_scores_of_scikit_learn_on_stored_activations(name, config, planted, fit):
    problem = planted(standardise=True)
    stored = dataclasses.replace(problem, standardise=False).columns()
    mean, deviation = stored.x_train.astype(np.float64).mean(0), stored.x_train.astype(np.float64).std(0)
    for probe in fit(STUDIES[name], config, problem)[:3]:
        x = (stored.x_train.astype(np.float64) - mean) / deviation
        reference = LogisticRegression(C=0.5, class_weight="balanced", solver="newton-cholesky", tol=1e-12)
        reference.fit(x[:, probe.support], stored.y_train)
        scores = stored.x_train[:, probe.support].astype(np.float64) @ probe.coef + probe.intercept
        np.testing.assert_allclose(scores, reference.decision_function(x[:, probe.support]), atol=1e-3)


@pytest.mark.parametrize("name", L2)
def test_the_objective_is_the_documented_one(name, config, planted, fit):
    problem = planted()
    data = problem.columns()
    for probe in fit(STUDIES[name], config, problem):
        scores = data.x_train[:, probe.support].astype(np.float64) @ probe.coef + probe.intercept
        n_positive = (data.y_train > 0).sum()
        weight = 300 / 2 / np.where(data.y_train > 0, n_positive, 300 - n_positive)
        loss = weight @ np.logaddexp(0, -data.y_train * scores)
        assert probe.objective == pytest.approx(0.5 * loss + probe.coef @ probe.coef / 2, rel=1e-9)


@pytest.mark.parametrize("name", [n for n in BINARY if n != "rotation_baseline"])
def test_the_planted_neuron_is_found(name, config, planted, fit):
    probes = fit(STUDIES[name], config, planted())
    first = max(probes, key=lambda probe: probe.metrics["train_f1_score"])
    assert first.support[np.argmax(np.abs(first.coef))] == PLANTED
    assert first.metrics["test_roc_auc"] > 0.9


@pytest.mark.parametrize("name", BINARY)
def test_control_shuffled_labels_are_near_chance(name, config, planted, fit):
    areas = [
        fit(STUDIES[name], config, planted(shuffle=True, seed=seed))[0].metrics["test_roc_auc"] for seed in range(6)
    ]
    assert np.mean(areas) == pytest.approx(0.5, abs=0.09)


@pytest.mark.parametrize("name", STUDIES)
def test_the_same_seed_gives_the_same_rows(name, config, planted, fit):
    problem = planted(kind=STUDIES[name].kind)
    assert rows(fit(STUDIES[name], config, problem)) == rows(fit(STUDIES[name], config, problem))


@pytest.mark.parametrize("name", STUDIES)
def test_test_rows_do_not_decide_anything(name, config, planted, fit):
    problem = planted(kind=STUDIES[name].kind)
    layer = problem.layer.copy(order="F")
    layer[problem.test.row] *= -1
    test = dataclasses.replace(problem.test, label=np.roll(problem.test.label, 1))
    other = dataclasses.replace(problem, layer=layer, test=test)
    for probe, same in zip(fit(STUDIES[name], config, problem), fit(STUDIES[name], config, other), strict=True):
        assert np.array_equal(probe.support, same.support)
        assert np.array_equal(probe.coef, same.coef)


@pytest.mark.parametrize("ranking", ["mean_dif", "f_stat", "auc", "mean_dif_standardised", "lr", "svm", "mi"])
def test_single_neurons_are_ranked_best_first(ranking, config, planted, fit):
    config = config.with_flags(heuristic_feature_selection_method=ranking)
    probes = fit(STUDIES["enumerate_monosemantic"], config, planted())
    assert [p.rank for p in probes] == list(range(1, 8))
    assert [len(p.support) for p in probes] == [1] * 7
    assert {p.ranking for p in probes} == {ranking}
    assert probes[0].support.tolist() == [PLANTED]


@pytest.mark.parametrize("name", ["enumerate_monosemantic", "all_neurons"])
def test_no_more_single_neurons_than_the_layer_has(name, config, planted, fit):
    probes = fit(STUDIES[name], config.with_flags(n_neurons=1000), planted())
    assert sorted(p.support.item() for p in probes) == list(range(WIDTH))


def test_supports_of_a_sweep_are_nested(config, planted, fit):
    probes = fit(STUDIES["heuristic_sparsity_sweep"], config, planted())
    assert [len(p.support) for p in probes] == [1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 16]
    assert [p.rank for p in probes] == [1] + [0] * 10
    for smaller, larger in zip(probes, probes[1:], strict=False):
        assert larger.support[: len(smaller.support)].tolist() == smaller.support.tolist()
        assert larger.objective <= smaller.objective


def test_a_sweep_ends_with_the_whole_layer(config, planted, fit):
    largest = fit(STUDIES["heuristic_sparsity_sweep"], config.with_flags(max_k=1024), planted())[-1]
    assert len(largest.support) == WIDTH


def test_the_values_of_k_can_be_chosen(config, planted, fit):
    probes = fit(STUDIES["heuristic_sparsity_sweep"], config.with_flags(ks=(9, 3, 500)), planted())
    assert [len(p.support) for p in probes] == [3, 9, WIDTH]


def test_a_dense_probe_has_all_neurons(config, planted, fit):
    (probe,) = fit(STUDIES["dense_probe"], config, planted())
    assert probe.support.tolist() == list(range(WIDTH))
    assert (probe.ranking, probe.rank) == ("", 0)


def test_pruning_takes_the_best_neuron_away(config, planted, fit):
    probes = fit(STUDIES["iterative_pruning"], config, planted())
    assert [p.further["step"] for p in probes] == [0, 1, 2, 3]
    assert PLANTED in probes[0].support
    assert all(PLANTED not in p.support for p in probes[1:])
    assert probes[1].metrics["test_roc_auc"] < 0.7 < 0.9 < probes[0].metrics["test_roc_auc"]
    assert {len(p.support) for p in probes} == {5}


def test_regularization_is_chosen_on_validation_folds(config, planted, fit):
    tuned = config.with_flags(regularization_grid=(1e-5, 0.1, 1e4), tuning_folds=3)
    (noise,) = fit(STUDIES["dense_probe"], tuned, planted(shuffle=True))
    assert noise.further["regularization"] == 1e-5
    (signal,) = fit(STUDIES["dense_probe"], tuned, planted())
    assert signal.further["regularization"] == 0.1
    sweep = fit(STUDIES["heuristic_sparsity_sweep"], tuned, planted())
    assert {p.further["regularization"] for p in sweep} <= {1e-5, 0.1, 1e4}


@pytest.mark.parametrize("name", ["enumerate_monosemantic", "heuristic_sparsity_sweep", "all_neurons"])
def test_a_layer_with_one_neuron(name, planted, fit):
    problem = planted()
    one = dataclasses.replace(problem, layer=problem.layer[:, [PLANTED]])
    (probe,) = fit(STUDIES[name], ProbingConfig(), one)
    assert probe.support.tolist() == [0]


def test_every_neuron_has_an_interval_and_corrected_p_values(config, planted, fit):
    probes = fit(STUDIES["all_neurons"], config.with_flags(n_permutations=39), planted())
    assert sorted(p.support.item() for p in probes) == list(range(WIDTH))
    f1 = [p.metrics["train_f1_score"] for p in probes]
    assert f1 == sorted(f1, reverse=True)
    for probe in probes:
        low, high = probe.further["test_roc_auc_low"], probe.further["test_roc_auc_high"]
        assert low <= probe.metrics["test_roc_auc"] <= high
        assert probe.further["p_value"] <= probe.further["p_value_corrected"] <= 1
    best = probes[0]
    assert best.further["p_value_corrected"] < 1e-6
    assert best.further["p_value_max_statistic"] == pytest.approx(1 / 40)
    others = [p.further["p_value_max_statistic"] for p in probes[1:]]
    assert np.median(others) > 0.3
