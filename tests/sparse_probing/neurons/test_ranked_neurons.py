"""Ranked neurons: training rows decide the order; controls, folds and bases are treated as documented."""

import io

import pandas as pd
import pytest
from rich.console import Console

from probing_datasets.foundation.errors import ProbeError
from sparse_probing.api.result import Result
from sparse_probing.neurons.ranked_neurons import (
    CSV_COLUMNS,
    best_neurons,
    ranked_neurons,
    why_not_found,
    write_ranked_neurons,
)
from sparse_probing.reporting.report import report
from sparse_probing.reporting.selectivity import selectivity
from sparse_probing.runs.launch import run_probing
from sparse_probing.runs.load_results import load_results
from sparse_probing.studies.base.result_rows import COLUMNS
from tests.builders.studies import single_neuron_row as row

PAPER_COLUMNS = [
    "model",
    "dataset",
    "feature",
    "layer",
    "aggregation",
    "hook_loc",
    "neuron",
    "test_mcc",
    "test_f1_score",
    "test_precision",
    "test_recall",
    "coef",
]


@pytest.fixture
def run(plant):
    return run_probing(plant().with_flags(experiment_type=("enumerate_monosemantic",)))


@pytest.fixture
def results(run):
    return load_results(run)


def table(*rows):
    return pd.DataFrame(rows)


def test_training_rows_decide_the_order_and_never_test_rows():
    ranked = ranked_neurons(table(row(0, 7, 0.6, 0.99), row(1, 3, 0.9, 0.1), row(0, 4, 0.7, 0.5)))
    assert ranked[["layer", "neuron", "rank"]].values.tolist() == [[1, 3, 1], [0, 4, 2], [0, 7, 3]]


def test_ranks_count_within_a_feature_and_ties_go_to_the_earlier_neuron():
    rows = [
        row(1, 2, 0.8, 0.1),
        row(0, 9, 0.8, 0.2),
        row(0, 5, 0.8, 0.3),
        row(0, 1, 0.2, 0.4, feature="French"),
    ]
    ranked = ranked_neurons(table(*rows))
    assert ranked[["feature", "layer", "neuron", "rank"]].values.tolist() == [
        ["French", 0, 1, 1],
        ["German", 0, 5, 1],
        ["German", 0, 9, 2],
        ["German", 1, 2, 3],
    ]


def test_equal_areas_are_ordered_by_the_distance_of_the_classes_and_not_by_f1_or_the_list():
    rows = [
        row(0, 1, 1.0, 0.9, train_mean_difference=1.2, train_f1_score=1.0),
        row(2, 7, 1.0 - 1e-16, 0.9, train_mean_difference=3.0, train_f1_score=0.4),
        row(1, 5, 0.999, 0.9, train_mean_difference=9.0, train_f1_score=1.0),
    ]
    assert ranked_neurons(table(*rows))["neuron"].tolist() == [7, 1, 5]


def test_neurons_that_are_as_good_are_counted():
    rows = [row(0, i, 0.9 - i / 100, 0.5, test_roc_auc=area) for i, area in enumerate((0.8, 0.9, 0.8, 0.7))]
    assert ranked_neurons(table(*rows))["n_as_good"].tolist() == [3, 1, 3, 4]


FOUND = {"test_roc_auc": 0.9, "test_roc_auc_low": 0.7, "n_positive_test": 30, "n_test": 100}
"""Scores of a neuron that is found, if its F1 is above .4615, that of always answering yes."""


@pytest.mark.parametrize(
    ("changed", "test_f1", "reason"),
    [
        ({}, 0.8, ""),
        ({"test_roc_auc_low": float("nan")}, 0.8, "ROC-AUC 0.900 has no interval: there are too few groups to tell"),
        ({"test_roc_auc": 0.475, "test_roc_auc_low": 0.4}, 0.659, "ROC-AUC 0.475 is not above chance"),
        ({"test_roc_auc_low": 0.43}, 0.8, "ROC-AUC 0.900 has an interval that begins at 0.430"),
        ({}, 0.4615, "F1 0.462 is not above that of always answering yes, 0.462"),
        ({"control": {"test_roc_auc": 0.9}}, 0.8, "ROC-AUC 0.900 is not above 0.900, found with shuffled labels"),
        ({"control": {"test_f1": 0.8}}, 0.8, "F1 0.800 is not above 0.800, found with shuffled labels"),
    ],
)
def test_a_neuron_is_found_only_above_chance_above_always_yes_and_above_its_control(changed, test_f1, reason):
    control = {"test_f1": 0.1, "test_roc_auc": 0.5, **changed.pop("control", {})}
    rows = table(row(0, 7, 0.9, test_f1, **{**FOUND, **changed}), row(0, 3, 0.6, control="shuffled_labels", **control))
    ranked = ranked_neurons(rows)
    assert why_not_found(ranked).tolist() == [reason]
    assert ranked["found"].tolist() == [reason == ""]
    assert ranked["always_yes_f1_score"].tolist() == pytest.approx([2 * 0.3 / 1.3])


def test_without_a_control_a_neuron_can_be_found():
    ranked = ranked_neurons(table(row(0, 7, 0.9, 0.8, **FOUND)))
    assert ranked["found"].tolist() == [True]
    assert ranked[["control_roc_auc", "control_f1_score"]].isna().all(axis=None)


def test_probes_of_several_neurons_are_not_ranked():
    ranked = ranked_neurons(table(row(0, 7, 0.6, 0.5), row(0, 3, 0.9, 0.9, k=2)))
    assert ranked["neuron"].tolist() == [7]


def test_the_control_is_what_the_same_search_finds_on_shuffled_labels():
    rows = [row(0, 7, 0.9, 0.9), row(1, 7, 0.8, 0.8)]
    controls = [
        row(0, 1, 0.4, 0.3, control="shuffled_labels"),
        row(0, 2, 0.5, 0.2, control="shuffled_labels"),
        row(1, 4, 0.3, 0.1, control="shuffled_labels"),
    ]
    ranked = ranked_neurons(table(*rows, *controls))
    assert ranked["control_f1_score"].tolist() == [0.2, 0.2]
    assert ranked_neurons(table(*rows))["control_f1_score"].isna().all()


def test_the_planted_neuron_is_first(results):
    best = best_neurons(results).set_index("feature")
    assert best.loc["strong", ["layer", "neuron", "rank"]].tolist() == [1, 5, 1]
    assert best.loc["weak", ["layer", "neuron", "rank"]].tolist() == [0, 7, 1]
    assert best.loc["strong", "test_f1_score"] > 0.97 > best.loc["strong", "control_f1_score"]
    by_layer = best_neurons(results, by=("feature", "layer"))
    assert len(by_layer) == 4
    assert by_layer["train_f1_score"].is_unique


def test_the_csv_has_the_columns_of_the_paper_first(results, tmp_path):
    written = write_ranked_neurons(results, tmp_path / "ranked.csv")
    lines = (tmp_path / "ranked.csv").read_text().splitlines()
    assert lines[0].split(",") == list(CSV_COLUMNS)
    assert lines[0].split(",")[: len(PAPER_COLUMNS)] == PAPER_COLUMNS
    assert len(lines) == 1 + 2 * 2 * 6
    read = pd.read_csv(tmp_path / "ranked.csv")
    assert read["neuron"].tolist() == written["neuron"].tolist()
    assert read["test_f1_score"].tolist() == pytest.approx(written["test_f1_score"].tolist(), rel=1e-9)
    assert not list(tmp_path.glob(".tmp-*"))


def test_directions_of_a_rotated_layer_are_not_neurons():
    ranked = ranked_neurons(table(row(0, 7, 0.6, 0.9), row(0, 8, 0.99, 0.9, basis="rotation")))
    assert ranked["neuron"].tolist() == [7]


def test_a_neuron_that_two_studies_fitted_is_listed_once():
    ranked = ranked_neurons(table(row(0, 7, 0.6, 0.9), row(0, 7, 0.6, 0.9, probe="logistic", study="sweep")))
    assert ranked["neuron"].tolist() == [7]


def test_the_first_fold_of_a_cross_validation_is_ranked():
    ranked = ranked_neurons(
        table(
            row(0, 7, 0.6, 0.9),
            row(0, 7, 0.99, 0.5, fold=1),
            row(0, 3, 0.65, 0.1),
        )
    )
    assert ranked[["neuron", "rank"]].values.tolist() == [[3, 1], [7, 2]]
    assert ranked["test_f1_score"].tolist() == pytest.approx([0.1, 0.9])


def test_a_run_or_its_folder_is_ranked_like_its_rows(run, results):
    assert ranked_neurons(run).equals(ranked_neurons(results))
    assert best_neurons(str(run.path)).equals(best_neurons(results))


@pytest.mark.parametrize("study", ["enumerate_monosemantic", "heuristic_sparsity_sweep", "all_neurons"])
def test_rows_without_the_columns_that_no_row_fills_are_ranked(plant, study):
    result = Result.of_run(run_probing(plant().with_flags(experiment_type=(study,), ks=(1, 2))))
    assert set(result.rows.columns) < set(COLUMNS)
    assert ranked_neurons(result.rows).equals(result.ranked_neurons())
    assert len(selectivity(result.rows)) > 0
    written = report(result.rows, Console(file=io.StringIO(), width=140))
    assert written == []


def test_a_neuron_of_two_studies_keeps_its_corrected_p_value():
    rows = [
        row(0, 7, 0.9, 0.9, probe="logistic", study="sweep", p_value_corrected=None),
        row(0, 7, 0.9, 0.9, p_value_corrected=0.01),
    ]
    for order in (rows, rows[::-1]):
        assert ranked_neurons(table(*order))["p_value_corrected"].tolist() == [0.01]


def test_rows_without_the_score_of_the_order_are_refused():
    with pytest.raises(ProbeError, match="no train_roc_auc, which decides their order: an older version wrote them"):
        ranked_neurons(table(row(0, 7, float("nan"), 0.9)))
