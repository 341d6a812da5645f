"""The layer of every test fold is chosen by validation rows outside it, and all folds give one interval."""

import numpy as np
import pandas as pd
import pytest

from sparse_probing.probes.inference.share_interval import accuracy_interval, group_counts
from sparse_probing.reporting.reading.chosen_layers import read_features

N_ROWS = 30


def fold_rows(fold, losses, accuracies, control=""):
    """Return a row for every layer of a fold, and which of its test rows are right, by layer."""
    rng, rows, right = np.random.default_rng(fold), [], {}
    for layer, (loss, accuracy) in enumerate(zip(losses, accuracies, strict=True)):
        hits = rng.random(N_ROWS) < accuracy
        right[layer] = hits
        wrong = int((~hits).sum())
        rows.append(
            {
                "feature": "mood",
                "control": control,
                "probe": "one_vs_rest",
                "layer": layer,
                "fold": fold,
                "validation_log_loss": loss,
                "validation_accuracy": 0.5,
                "test_accuracy": hits.mean(),
                "test_group_counts": group_counts(hits, np.arange(N_ROWS) // 2).ravel(),
                "test_confusion": [N_ROWS - wrong, wrong, 0, 0],
                "test_reliability": [1.0, N_ROWS, 0.5, N_ROWS, 1.0, N_ROWS - wrong],
                "class_names": None,
                "classes": None,
                **dict.fromkeys(
                    ["test_roc_auc", "test_step_error", "test_quadratic_kappa", "test_confidence_error_before"], 0.5
                ),
                **dict.fromkeys(["test_confidence_error", "excess_over_optimum"], 0.5),
            }
        )
    return rows, right


@pytest.fixture
def folds():
    """Three folds of three layers: the folds choose layers 0, 2 and 1; all together would choose layer 1."""
    losses = [(0.1, 0.3, 0.9), (0.9, 0.3, 0.2), (0.8, 0.1, 0.9)]
    parts = [fold_rows(fold, of_fold, (0.3, 0.9, 0.5)) for fold, of_fold in enumerate(losses)]
    controls = [fold_rows(fold, (0.1, 0.1, 0.1), (0.2, 0.3, 0.4), "shuffled_labels")[0] for fold in range(3)]
    rows = pd.DataFrame([row for of_fold, _ in parts for row in of_fold] + [row for part in controls for row in part])
    return rows, [right for _, right in parts]


def test_every_fold_has_the_layer_that_its_own_validation_rows_choose(folds):
    rows, right = folds
    (feature,) = read_features(rows)
    assert feature.layers == {0: 0, 1: 2, 2: 1}
    assert feature.layer == 0
    assert feature.chosen["layer"].tolist() == [0, 2, 1]
    hits = np.concatenate([right[0][0], right[1][2], right[2][1]])
    share, low, high = feature.accuracy
    assert share == hits.mean()
    assert (low, high) == accuracy_interval(hits, np.arange(3 * N_ROWS) // 2)
    assert np.diagonal(feature.confusion).sum() == hits.sum()
    assert feature.reliability("test_reliability").right[1] == hits.sum()


def test_the_validation_rows_of_another_fold_change_nothing(folds):
    rows, _ = folds
    other = rows.copy()
    other.loc[other["fold"] == 2, "validation_log_loss"] = [9.0, 8.0, 0.0] * 2
    (before,), (after,) = read_features(rows), read_features(other)
    assert {fold: after.layers[fold] for fold in (0, 1)} == {fold: before.layers[fold] for fold in (0, 1)}
    assert after.layers[2] == 2


def test_the_interval_of_a_layer_is_of_the_groups_of_all_folds(folds):
    rows, right = folds
    (feature,) = read_features(rows)
    table = feature.by_layer().set_index("layer")
    for layer in range(3):
        hits = np.concatenate([of_fold[layer] for of_fold in right])
        ends = accuracy_interval(hits, np.arange(3 * N_ROWS) // 2)
        assert table.loc[layer, "test_accuracy"] == hits.mean()
        assert tuple(table.loc[layer, ["test_accuracy_low", "test_accuracy_high"]]) == ends
        widths = [np.diff(accuracy_interval(of_fold[layer], np.arange(N_ROWS) // 2))[0] for of_fold in right]
        assert ends[1] - ends[0] < 0.75 * np.mean(widths)


def test_controls_are_those_of_the_chosen_layers(folds):
    rows, _ = folds
    (feature,) = read_features(rows)
    controls = rows[rows["control"] == "shuffled_labels"].set_index(["fold", "layer"])["test_accuracy"]
    expected = np.mean([controls[fold, layer] for fold, layer in feature.layers.items()])
    assert feature.control_accuracies == {"shuffled_labels": pytest.approx(expected)}


def test_of_equal_layers_the_first_is_chosen(folds):
    rows, _ = folds
    (feature,) = read_features(rows.assign(validation_log_loss=0.5))
    assert set(feature.layers.values()) == {0}
