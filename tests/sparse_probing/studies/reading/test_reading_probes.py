"""The study of reading probes: honest selection, scikit-learn's numbers, controls, Adam, ordered classes."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, cohen_kappa_score, confusion_matrix, roc_auc_score, roc_curve

from probing_datasets.foundation.errors import SettingsError
from sparse_probing.config import ProbingConfig
from sparse_probing.probes.inference.share_interval import accuracy_interval, counted_share
from sparse_probing.probes.metrics.temperature import fit_temperature, log_loss
from sparse_probing.probes.monitor_intervals import class_monitor_metrics
from sparse_probing.probes.one_vs_rest.closed_form import SHRINKAGES, lda
from sparse_probing.studies import STUDIES
from sparse_probing.studies.reading.three_parts import divide
from tests.builders.studies import planted_data, rank_and_fit

STUDY = STUDIES["reading_probes"]
CONFIG = ProbingConfig.from_flags(experiment_type=("reading_probes",))


def probes_of(data, config=CONFIG):
    return {probe.probe: probe for probe in rank_and_fit(STUDY, config, data)}


def multiclass(shift=2.5, **changes):
    return replace(planted_data(shift=shift, kind="multiclass", scaling="unit"), **changes)


def scores_of(probe, x):
    intercept = probe.further.get("class_intercepts", np.ravel(probe.intercept))
    return x.astype(np.float64) @ np.reshape(probe.coef, (len(intercept), -1)).T + intercept


def test_the_three_parts_share_no_group_and_neurons_are_scaled_by_training_rows():
    data = multiclass()
    reading = divide(CONFIG, data)
    parts = (reading.train, reading.validation, reading.test)
    groups = [set(part.group.tolist()) for part in parts]
    assert not groups[0] & groups[1]
    assert not (groups[0] | groups[1]) & groups[2]
    assert len(reading.train.codes) + len(reading.validation.codes) == len(data.train.row)
    assert reading.train.x.mean(axis=0) == pytest.approx(0, abs=1e-5)
    assert reading.train.x.std(axis=0) == pytest.approx(1, abs=1e-5)
    assert np.abs(reading.validation.x.mean(axis=0)).max() > 1e-3


@pytest.mark.parametrize("kind", ["multiclass", "binary"])
def test_reported_scores_are_those_of_the_stored_coefficients_and_of_scikit_learn(kind):
    data = planted_data(kind=kind, scaling="unit")
    config, reading = CONFIG.with_flags(regularization=0.01), divide(CONFIG, data)
    probe = probes_of(data, config)["one_vs_rest"]
    scores, codes = scores_of(probe, data.layer[data.test.row]), reading.test.codes
    for k, of_class in enumerate(reading.targets(reading.train).T):
        model = LogisticRegression(C=0.01, solver="newton-cholesky", tol=1e-12).fit(reading.train.x, of_class)
        assert scores[:, k] == pytest.approx(model.decision_function(reading.test.x), abs=1e-3)
    predicted = scores.argmax(axis=1) if kind == "multiclass" else (scores[:, 0] > 0).astype(int)
    assert probe.metrics["test_accuracy"] == accuracy_score(codes, predicted)
    expected = confusion_matrix(codes, predicted)
    assert probe.further["test_confusion"].tolist() == expected.ravel().tolist()
    assert probe.further["test_accuracy_low"] < probe.metrics["test_accuracy"] < probe.further["test_accuracy_high"]
    if kind == "multiclass":
        areas = [roc_auc_score(codes == k, scores[:, k]) for k in range(3)]
        assert probe.metrics["test_roc_auc"] == pytest.approx(np.mean(areas))
        confidence = softmax(scores / probe.further["temperature"], axis=1).max(axis=1)
        assert np.sum(probe.further["test_reliability"][15:30]) == pytest.approx(confidence.sum(), rel=1e-6)


def test_test_rows_choose_nothing():
    data = multiclass(shift=0.7)
    layer = data.layer.copy()
    layer[data.test.row] = np.random.default_rng(5).standard_normal((len(data.test.row), data.width)) * 7
    other = replace(data, layer=layer)
    for config in (CONFIG, CONFIG.with_flags(solver="adam", epochs=20)):
        for name, probe in probes_of(data, config).items():
            again = probes_of(other, config)[name]
            assert again.coef.tolist() == probe.coef.tolist()
            for column in ("regularization", "temperature", "validation_accuracy", "validation_log_loss"):
                assert again.further.get(column) == probe.further.get(column)
            assert again.metrics["test_accuracy"] != probe.metrics["test_accuracy"]


def test_validation_rows_choose_C_and_training_rows_alone_would_not():
    probe = probes_of(multiclass(shift=0.7))["one_vs_rest"]
    losses, grid = probe.further["curve_validation_log_loss"], probe.further["curve_regularization"]
    assert probe.further["regularization"] == grid[int(np.argmin(losses))]
    assert np.argmin(probe.further["curve_train_loss"]) == len(grid) - 1
    assert probe.further["regularization"] < grid[-1]
    assert probe.further["duality_gap"] <= 1e-6
    assert (np.diff(probe.further["curve_train_loss"]) < 0).all()


def test_a_planted_class_is_found_and_one_without_a_signal_is_not():
    found, not_found = probes_of(multiclass())["one_vs_rest"], probes_of(multiclass(shift=0))["one_vs_rest"]
    assert found.metrics["test_accuracy"] > 0.7
    assert not_found.further["test_accuracy_low"] < 0.4 < 0.5 > not_found.metrics["test_accuracy"]


def test_adam_reports_how_far_above_its_optimum_it_ended_and_the_optimum_is_below():
    data = multiclass(scaling="none")
    config = CONFIG.with_flags(solver="adam")
    probe = probes_of(data, config)["one_vs_rest_adam"]
    assert probe.further["excess_over_optimum"] > 1e-4
    assert f"after the last epoch it was {probe.further['excess_over_optimum']:.2%} above" in probe.status
    assert not probe.converged
    C = probe.further["regularization"]
    assert pytest.approx(1 / (0.1 * 3 * probe.further["n_train"])) == C
    optimum = probes_of(data, CONFIG.with_flags(regularization=C))["one_vs_rest"]
    assert optimum.objective < probe.objective
    assert probe.further["curve_epoch"] == list(range(1, 51))
    validated = [value for value in probe.further["curve_validation_accuracy"] if value is not None]
    assert len(validated) == 5
    assert probe.further["validation_accuracy"] == pytest.approx(max(validated))
    assert len(probe.further["last_coef"]) == 3 * data.width


def test_gap_objective_and_status_of_adam_are_of_the_coefficients_in_the_row():
    data = multiclass(shift=0.7, scaling="none")
    config = CONFIG.with_flags(solver="adam", epochs=60)
    probe, reading = probes_of(data, config)["one_vs_rest_adam"], divide(STUDY.resolved(config), data)
    C, x = probe.further["regularization"], reading.train.x.astype(np.float64)
    targets = reading.targets(reading.train)

    def objective(coef, intercepts):
        total = 0.0
        for of_class, w, b in zip(targets.T, np.reshape(coef, (3, -1)), intercepts, strict=True):
            total += C * np.logaddexp(0, -np.where(of_class, 1, -1) * (x @ w + b)).sum() + w @ w / 2
        return total

    minimum = 0.0
    for of_class in targets.T:
        model = LogisticRegression(C=C, solver="newton-cholesky", tol=1e-12).fit(x, of_class)
        margins = np.where(of_class, 1, -1) * model.decision_function(x)
        minimum += C * np.logaddexp(0, -margins).sum() + np.square(model.coef_).sum() / 2
    best = objective(probe.coef, probe.further["class_intercepts"])
    last = objective(probe.further["last_coef"], probe.further["last_intercepts"])
    validated = [value or 0 for value in probe.further["curve_validation_accuracy"]]
    epoch = 1 + int(np.argmax(validated))
    assert epoch < 60  # or the two would be the same
    assert best > last
    assert probe.objective == pytest.approx(best, rel=1e-6)
    assert probe.further["duality_gap"] == pytest.approx(1 - minimum / best, rel=1e-3)
    assert probe.further["excess_over_optimum"] == pytest.approx(last / minimum - 1, rel=1e-3)
    assert f"after epoch {epoch}. Their objective is {best / minimum - 1:.2%} above its minimum" in probe.status


def test_a_probe_that_is_right_on_every_validation_row_says_so_and_is_not_certain():
    data = planted_data(shift=30.0, scaling="unit")
    probe = probes_of(data)["one_vs_rest"]
    assert probe.further["validation_accuracy"] == 1
    assert "No validation row is wrong" in probe.status
    # Neither does every C tie at a loss of 0: the smallest would then be chosen.
    losses = np.array(probe.further["curve_validation_log_loss"])
    assert losses.min() > 1e-3
    assert len(np.unique(losses)) == len(losses)
    scores = scores_of(probe, data.layer[data.test.row])[:, 0] / probe.further["temperature"]
    assert np.median(np.abs(scores)) < 7  # with labels that are not smoothed it is above 1,000
    assert "No validation row is wrong" not in probes_of(planted_data(shift=0.7, scaling="unit"))["one_vs_rest"].status


@pytest.mark.parametrize("kind", ["multiclass", "binary"])
def test_monitor_metrics_are_of_each_score_against_the_others(kind):
    data = planted_data(kind=kind, shift=1.0, scaling="unit")
    probe = probes_of(data)["one_vs_rest"]
    scores, targets = scores_of(probe, data.layer[data.test.row]), divide(CONFIG, data)
    for k, of_class in enumerate(targets.targets(targets.test).T):
        false_positive, true_positive, _ = roc_curve(of_class, scores[:, k])
        recall = probe.further["test_monitor_recall"][3 * k : 3 * k + 3]
        assert recall[2] == pytest.approx(true_positive[false_positive <= 0.05].max())
        area = probe.further["test_monitor_partial_roc_auc"][3 * k + 2]
        assert area == pytest.approx(roc_auc_score(of_class, scores[:, k], max_fpr=0.05))
        low, high = (probe.further[f"test_monitor_partial_roc_auc_{end}"][3 * k : 3 * k + 3] for end in ("low", "high"))
        assert np.isnan(low[:2]).all()  # fewer than 100 negatives
        assert low[2] < area < high[2]


def test_the_counts_of_groups_give_the_interval_of_the_row():
    data = multiclass(shift=1.0)
    probe = probes_of(data)["one_vs_rest"]
    hits = scores_of(probe, data.layer[data.test.row]).argmax(axis=1) == data.test.label
    low, high = accuracy_interval(hits, data.test.group)
    assert (probe.further["test_accuracy_low"], probe.further["test_accuracy_high"]) == (low, high)
    assert counted_share([probe.further["test_group_counts"]]) == (hits.mean(), low, high)


def test_ordered_classes():
    names = ("low", "high", "middle")
    data = multiclass(shift=1.0, classes=names)
    probe = probes_of(data, CONFIG.with_flags(class_order=("low", "middle", "high")))["one_vs_rest"]
    predicted = scores_of(probe, data.layer[data.test.row]).argmax(axis=1)
    place = np.array([0, 2, 1])
    true, guessed = place[data.test.label.astype(int)], place[predicted]
    assert probe.further["test_step_error"] == pytest.approx(np.abs(true - guessed).mean())
    assert probe.further["test_quadratic_kappa"] == pytest.approx(cohen_kappa_score(true, guessed, weights="quadratic"))
    with pytest.raises(
        SettingsError, match=r"--class_order is low, high, and the classes of made are low, high, middle"
    ):
        probes_of(data, CONFIG.with_flags(class_order=("low", "high")))


def test_the_scaling_is_unit_and_none_for_adam_unless_it_is_set():
    assert STUDY.resolved(CONFIG).fit.scaling == "unit"
    assert STUDY.resolved(CONFIG.with_flags(solver="adam")).fit.scaling == "none"
    assert STUDY.resolved(CONFIG.with_flags(scaling="rms")).fit.scaling == "rms"
    assert STUDIES["dense_probe"].resolved(CONFIG).fit.scaling is None


def test_the_end_of_the_grid_is_reported():
    probe = probes_of(multiclass(shift=0.7), CONFIG.with_flags(regularization_grid=(1e-6, 1e-5)))["one_vs_rest"]
    assert "The best C is at the end of the grid, 1e-05" in probe.status


def test_a_layer_that_is_the_same_for_every_row_is_at_chance():
    """The embedding of the last token of a prompt template says nothing of the message."""
    data = multiclass()
    for probe in probes_of(replace(data, layer=np.full_like(data.layer, 3.5))).values():
        assert len(set(np.asarray(probe.further["test_confusion"]).reshape(3, 3).sum(axis=0))) <= 2
        assert probe.further["test_accuracy_low"] < 0.34
        assert probe.metrics["test_roc_auc"] == 0.5


def test_adam_ends_early_only_where_it_is_set():
    data = multiclass(scaling="none")
    whole, early = (
        probes_of(data, CONFIG.with_flags(solver="adam", epochs=60, early_stopping=n))["one_vs_rest_adam"]
        for n in (0, 1)
    )
    validated = whole.further["curve_validation_accuracy"][9::10]
    n_rising = next(i for i in range(1, len(validated)) if validated[i] <= max(validated[:i]))
    assert n_rising < len(validated) - 1  # a later validation exists, which early stopping does not reach
    assert len(whole.further["curve_epoch"]) == 60
    assert len(early.further["curve_epoch"]) == 10 * (n_rising + 1)


def test_validation_rows_choose_the_shrinkage():
    data = multiclass(shift=0.7)
    reading, probe = divide(CONFIG, data), probes_of(data)["lda"]
    coef, intercept = lda(reading.train.x, reading.train.codes)
    codes = reading.validation.codes
    losses = []
    for c, b in zip(coef, intercept, strict=True):
        scores = reading.validation.x @ c.T + b
        losses.append(log_loss(scores, codes, fit_temperature(scores, codes)))
    best = int(np.argmin(losses))
    assert best != 0
    assert f"shrinkage of {SHRINKAGES[best]:g}" in probe.status
    assert probe.further["validation_log_loss"] == pytest.approx(losses[best], rel=1e-5)


def test_intervals_of_monitor_metrics_are_of_groups():
    data = multiclass(shift=1.0)
    probe, reading = probes_of(data)["one_vs_rest"], divide(CONFIG, data)
    scores, test = scores_of(probe, data.layer[data.test.row]), reading.test
    assert len(np.unique(test.group)) < len(test.group)
    of_groups, of_rows = (
        class_monitor_metrics(reading.targets(test), scores, groups, data.rng("monitor"))
        for groups in (test.group, np.arange(len(test.group)))
    )
    assert probe.further["test_monitor_recall_low"] == pytest.approx(
        of_groups.low[:, :, 0].ravel(), nan_ok=True, abs=0.02
    )
    assert of_rows.low[:, 2, 0] != pytest.approx(of_groups.low[:, 2, 0], abs=0.02)
