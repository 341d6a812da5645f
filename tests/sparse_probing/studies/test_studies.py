"""The contract of every study: sound rows, scikit-learn's numbers, planted neurons found, test rows not used."""

import dataclasses
from typing import get_args

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score

from sparse_probing.config import ProbingConfig, StudyName
from sparse_probing.studies import STUDIES, multinomial
from sparse_probing.studies.base.probe_row import probe_row
from sparse_probing.studies.base.result_rows import (
    CALIBRATION,
    COLUMNS,
    METRICS,
    REGRESSION_METRICS,
    filled_columns,
    table_of,
)
from sparse_probing.studies.base.study import the_chosen_ranking
from tests.builders.studies import PLANTED, WIDTH, planted_data, rank_and_fit

BINARY = [name for name, study in STUDIES.items() if study.kind == "binary"]
L2 = [  # their probes are L2-regularised logistic fits, which scikit-learn has too
    "dense_probe",
    "enumerate_monosemantic",
    "all_neurons",
    "heuristic_sparsity_sweep",
    "fast_heuristic_sparsity_sweep",
    "iterative_pruning",
    "compare_feature_selection",
    "compare_rankings",
]


TIMES = ("seconds", "seconds_to_support")


def rows(probes):
    """Return all columns except the times, which no seed decides."""
    return [
        {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in p.as_row().items() if k not in TIMES}
        for p in probes
    ]


BOTH_PARTS = ("train", "test")
METRICS_OF_KIND = {
    "binary": {f"{part}_{name}" for part in BOTH_PARTS for name in (*METRICS, *CALIBRATION)},
    "multiclass": {f"{part}_{name}" for part in BOTH_PARTS for name in multinomial.REPORTED},
    "regression": {f"{part}_{name}" for part in BOTH_PARTS for name in REGRESSION_METRICS},
}
WITHOUT = {
    # Sorting the training rows of thousands of neurons, and their calibration, would double the time of the study.
    "all_neurons": {
        f"train_{name}" for name in ("average_precision", "pr_auc", "brier_score", "expected_calibration_error")
    },
}
"""Metrics that no row of a study has."""
FURTHER = {"multinomial_sweep": {"test_roc_auc", "test_log_loss"}}
"""Metrics that only some studies of a kind have."""


@pytest.mark.parametrize("name", STUDIES)
def test_no_metric_is_null_in_every_row_except_the_documented_ones(name, config):
    data = planted_data(kind=STUDIES[name].kind)
    rows = [probe_row(config, name, 0, data, probe) for probe in rank_and_fit(STUDIES[name], config, data)]
    table = filled_columns(table_of(rows).to_pandas())
    of_any_kind = set().union(*METRICS_OF_KIND.values())
    expected = METRICS_OF_KIND[STUDIES[name].kind] - WITHOUT.get(name, set()) | FURTHER.get(name, set())
    assert set(table.columns) & of_any_kind == expected
    # A metric that one row has, the others have too, so that a sort by it compares like with like; only the decision
    # values of a hinge probe, and those of one class against the rest, are not probabilities of the classes together.
    of_probabilities = {f"{part}_{metric}" for part in BOTH_PARTS for metric in CALIBRATION}
    assert table[sorted(expected - of_probabilities)].notna().all(axis=None)
    log_odds = table[table["probe"] != "one_vs_rest"]
    log_odds = log_odds[~log_odds["loss"].eq("hinge")] if "loss" in table else log_odds
    assert log_odds[sorted(expected & of_probabilities)].notna().all(axis=None)


OF_THE_PAPER_S_CODE = (
    "enumerate_monosemantic",
    "optimal_sparse_probing",
    "heuristic_sparsity_sweep",
    "fast_heuristic_sparsity_sweep",
    "telescopic_sparsity_sweep",
    "tune_telescoping_sparsity_sweep",
    "rotation_baseline_dxd",
    "iterative_pruning_rotation_baseline_dxd",
)
"""Its experiment types that rank neurons by the flag, or by the mean difference."""


@pytest.mark.parametrize("name", STUDIES)
def test_neurons_are_ranked_as_in_the_paper_only_where_the_study_has_its_name(name, config):
    study = STUDIES[name]
    default = study.resolved(config).search.heuristic_feature_selection_method
    if study.rankings is the_chosen_ranking or name in OF_THE_PAPER_S_CODE:
        assert default == ("mean_dif" if name in OF_THE_PAPER_S_CODE else "auc")
    assert study.resolved(config.with_flags(heuristic_feature_selection_method="mi")).search == (
        config.with_flags(heuristic_feature_selection_method="mi").search
    )
    assert "auto" not in study.rankings_of(config)


def test_the_default_ranking_finds_a_neuron_of_small_scale(config):
    data = planted_data()
    layer = data.layer.copy(order="F")
    layer[:, PLANTED] *= 0.01  # its classes are well apart, but less far than the noise of other neurons
    small = dataclasses.replace(data, layer=layer)
    (ours,) = rank_and_fit(
        STUDIES["iterative_pruning"],
        config.with_flags(iterative_pruning_fixed_k=1, iterative_pruning_n_prune_steps=1),
        small,
    )
    paper = rank_and_fit(STUDIES["heuristic_sparsity_sweep"], config.with_flags(ks=(1,)), small)[0]
    assert ours.ranking == "auc"
    assert ours.support.tolist() == [PLANTED]
    assert paper.ranking == "mean_dif"
    assert paper.support.tolist() != [PLANTED]


def test_every_experiment_type_has_a_study():
    assert set(STUDIES) == set(get_args(StudyName))


@pytest.mark.parametrize("name", STUDIES)
def test_every_row_is_sound(name, config):
    data = planted_data(kind=STUDIES[name].kind)
    probes = rank_and_fit(STUDIES[name], config, data)
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
def test_binary_probes_have_all_metrics_and_a_measure_of_convergence(name, config):
    for probe in rank_and_fit(STUDIES[name], config, planted_data()):
        assert {f"test_{metric}" for metric in METRICS} <= set(probe.metrics)
        assert {f"train_{metric}" for metric in METRICS} - WITHOUT.get(name, set()) <= set(probe.metrics)
        if "optimality_gap" in probe.further:
            assert probe.further["optimality_gap"] <= config.optimal.osp_gap * (1 + 1e-6)
        else:
            assert min(probe.further.get("newton_decrement", 1), probe.further.get("duality_gap", 1)) < 1e-6


@pytest.mark.parametrize("name", L2)
def test_rows_agree_with_scikit_learn(name, config):
    data = planted_data()
    neurons = data.select()
    for probe in rank_and_fit(STUDIES[name], config, data):
        reference = LogisticRegression(C=0.5, class_weight="balanced", solver="newton-cholesky", tol=1e-12)
        reference.fit(neurons.x_train[:, probe.support].astype(np.float64), neurons.y_train)
        np.testing.assert_allclose(probe.coef, reference.coef_[0], atol=1e-4)
        assert probe.intercept == pytest.approx(reference.intercept_[0], abs=1e-4)
        for part, x, y in (("train", neurons.x_train, neurons.y_train), ("test", neurons.x_test, neurons.y_test)):
            scores = x[:, probe.support].astype(np.float64) @ probe.coef + probe.intercept
            assert probe.metrics[f"{part}_f1_score"] == pytest.approx(
                f1_score(y, np.where(scores > 0, 1, -1)), abs=1e-12
            )
            assert probe.metrics[f"{part}_roc_auc"] == pytest.approx(roc_auc_score(y, scores), abs=1e-12)
            if name == "all_neurons" and part == "train":
                continue
            area = average_precision_score(y, scores)
            assert probe.metrics[f"{part}_average_precision"] == pytest.approx(area, abs=1e-12)


@pytest.mark.parametrize("name", L2)
def test_standardised_probes_give_the_scores_of_scikit_learn_on_stored_activations(name, config):
    data = planted_data(scaling="unit")
    stored = dataclasses.replace(data, scaling="none").select()
    mean, deviation = stored.x_train.astype(np.float64).mean(0), stored.x_train.astype(np.float64).std(0)
    for probe in rank_and_fit(STUDIES[name], config, data)[:3]:
        x = (stored.x_train.astype(np.float64) - mean) / deviation
        reference = LogisticRegression(C=0.5, class_weight="balanced", solver="newton-cholesky", tol=1e-12)
        reference.fit(x[:, probe.support], stored.y_train)
        scores = stored.x_train[:, probe.support].astype(np.float64) @ probe.coef + probe.intercept
        np.testing.assert_allclose(scores, reference.decision_function(x[:, probe.support]), atol=1e-3)


@pytest.mark.parametrize("name", L2)
def test_the_objective_is_the_documented_one(name, config):
    data = planted_data()
    neurons = data.select()
    for probe in rank_and_fit(STUDIES[name], config, data):
        scores = neurons.x_train[:, probe.support].astype(np.float64) @ probe.coef + probe.intercept
        n_positive = (neurons.y_train > 0).sum()
        weight = 300 / 2 / np.where(neurons.y_train > 0, n_positive, 300 - n_positive)
        loss = weight @ np.logaddexp(0, -neurons.y_train * scores)
        assert probe.objective == pytest.approx(0.5 * loss + probe.coef @ probe.coef / 2, rel=1e-9)


@pytest.mark.parametrize("name", [n for n in BINARY if n != "rotation_baseline"])
def test_the_planted_neuron_is_found(name, config):
    probes = rank_and_fit(STUDIES[name], config, planted_data())
    first = max(probes, key=lambda probe: probe.metrics["train_f1_score"])
    assert first.support[np.argmax(np.abs(first.coef))] == PLANTED
    assert first.metrics["test_roc_auc"] > 0.9


@pytest.mark.parametrize("name", BINARY)
def test_control_shuffled_labels_are_near_chance(name, config):
    areas = [
        rank_and_fit(STUDIES[name], config, planted_data(shuffle=True, seed=seed))[0].metrics["test_roc_auc"]
        for seed in range(6)
    ]
    assert np.mean(areas) == pytest.approx(0.5, abs=0.09)


@pytest.mark.parametrize("name", STUDIES)
def test_the_same_seed_gives_the_same_rows(name, config):
    data = planted_data(kind=STUDIES[name].kind)
    first, second = (rows(rank_and_fit(STUDIES[name], config, data)) for _ in range(2))
    np.testing.assert_equal(first, second)  # NaN, where a path has no value, equals NaN


@pytest.mark.parametrize("name", STUDIES)
def test_test_rows_do_not_decide_anything(name, config):
    data = planted_data(kind=STUDIES[name].kind)
    layer = data.layer.copy(order="F")
    layer[data.test.row] *= -1
    test = dataclasses.replace(data.test, label=np.roll(data.test.label, 1))
    other = dataclasses.replace(data, layer=layer, test=test)
    for probe, same in zip(
        rank_and_fit(STUDIES[name], config, data), rank_and_fit(STUDIES[name], config, other), strict=True
    ):
        assert np.array_equal(probe.support, same.support)
        assert np.array_equal(probe.coef, same.coef)


@pytest.mark.parametrize("ranking", ["mean_dif", "f_stat", "auc", "mean_dif_standardised", "lr", "svm", "mi"])
def test_single_neurons_are_ranked_best_first(ranking, config):
    config = config.with_flags(heuristic_feature_selection_method=ranking)
    probes = rank_and_fit(STUDIES["enumerate_monosemantic"], config, planted_data())
    assert [p.rank for p in probes] == list(range(1, 8))
    assert [len(p.support) for p in probes] == [1] * 7
    assert {p.ranking for p in probes} == {ranking}
    assert probes[0].support.tolist() == [PLANTED]


@pytest.mark.parametrize("name", ["enumerate_monosemantic", "all_neurons"])
def test_no_more_single_neurons_than_the_layer_has(name, config):
    probes = rank_and_fit(STUDIES[name], config.with_flags(n_neurons=1000), planted_data())
    assert sorted(p.support.item() for p in probes) == list(range(WIDTH))


def test_supports_of_a_sweep_are_nested(config):
    probes = rank_and_fit(STUDIES["heuristic_sparsity_sweep"], config, planted_data())
    assert [len(p.support) for p in probes] == [1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 16]
    assert [p.rank for p in probes] == [1] + [0] * 10
    for smaller, larger in zip(probes, probes[1:], strict=False):
        assert larger.support[: len(smaller.support)].tolist() == smaller.support.tolist()
        assert larger.objective <= smaller.objective


def test_a_sweep_ends_with_the_whole_layer(config):
    largest = rank_and_fit(STUDIES["heuristic_sparsity_sweep"], config.with_flags(max_k=1024), planted_data())[-1]
    assert len(largest.support) == WIDTH


def test_the_values_of_k_can_be_chosen(config):
    probes = rank_and_fit(STUDIES["heuristic_sparsity_sweep"], config.with_flags(ks=(9, 3, 500)), planted_data())
    assert [len(p.support) for p in probes] == [3, 9, WIDTH]


def test_a_dense_probe_has_all_neurons(config):
    (probe,) = rank_and_fit(STUDIES["dense_probe"], config, planted_data())
    assert probe.support.tolist() == list(range(WIDTH))
    assert (probe.ranking, probe.rank) == ("", 0)


def test_pruning_takes_the_best_neuron_away(config):
    probes = rank_and_fit(STUDIES["iterative_pruning"], config, planted_data())
    assert [p.further["step"] for p in probes] == [0, 1, 2, 3]
    assert PLANTED in probes[0].support
    assert all(PLANTED not in p.support for p in probes[1:])
    assert probes[1].metrics["test_roc_auc"] < 0.7 < 0.9 < probes[0].metrics["test_roc_auc"]
    assert {len(p.support) for p in probes} == {5}


def test_regularization_is_chosen_on_validation_folds(config):
    tuned = config.with_flags(regularization=None, regularization_grid=(1e-5, 0.1, 1e4), tuning_folds=3)
    (noise,) = rank_and_fit(STUDIES["dense_probe"], tuned, planted_data(shuffle=True))
    assert noise.further["regularization"] < 1e4
    (signal,) = rank_and_fit(STUDIES["dense_probe"], tuned, planted_data())
    (overfitted,) = rank_and_fit(STUDIES["dense_probe"], config.with_flags(regularization=1e4), planted_data())
    assert signal.further["regularization"] < 1e4
    assert signal.metrics["test_roc_auc"] > overfitted.metrics["test_roc_auc"]
    sweep = rank_and_fit(STUDIES["heuristic_sparsity_sweep"], tuned, planted_data())
    assert {p.further["regularization"] for p in sweep} <= {1e-5, 0.1, 1e4}


@pytest.mark.parametrize("name", ["enumerate_monosemantic", "heuristic_sparsity_sweep", "all_neurons"])
def test_a_layer_with_one_neuron(name):
    data = planted_data()
    one = dataclasses.replace(data, layer=data.layer[:, [PLANTED]])
    (probe,) = rank_and_fit(STUDIES[name], ProbingConfig(), one)
    assert probe.support.tolist() == [0]


def test_every_neuron_has_an_interval_and_corrected_p_values(config):
    probes = rank_and_fit(STUDIES["all_neurons"], config.with_flags(n_permutations=39), planted_data())
    assert sorted(p.support.item() for p in probes) == list(range(WIDTH))
    order = [(-round(p.metrics["train_roc_auc"], 9), -p.further["train_mean_difference"]) for p in probes]
    assert order == sorted(order)
    assert [p.rank for p in probes] == list(range(1, WIDTH + 1))
    for probe in probes:
        low, high = probe.further["test_roc_auc_low"], probe.further["test_roc_auc_high"]
        assert low <= probe.metrics["test_roc_auc"] <= high
        assert probe.further["p_value"] <= probe.further["p_value_corrected"] <= 1
    best = probes[0]
    assert best.further["p_value_corrected"] < 1e-3
    assert best.further["p_value_max_statistic"] == pytest.approx(1 / 40)
    others = [p.further["p_value_max_statistic"] for p in probes[1:]]
    assert np.median(others) > 0.3
