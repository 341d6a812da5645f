"""Selectivity: every probe minus its own control, of rows or of a run."""

import pytest

from sparse_probing.reporting.selectivity import KEYS, selectivity
from sparse_probing.runs.launch import run_probing
from sparse_probing.runs.load_results import load_results


@pytest.fixture
def run(plant):
    controls = ("shuffled_labels", "random_neurons", "rotation")
    return run_probing(plant().with_flags(controls=controls, feature_subset=("strong",)))


@pytest.fixture
def results(run):
    return load_results(run)


def test_every_probe_is_compared_with_its_own_control(results):
    table = selectivity(results)
    plain = results[results["control"] == ""]
    assert len(table) == 3 * len(plain)
    row = table[(table["layer"] == 1) & (table["k"] == 1) & (table["control"] == "shuffled_labels")].iloc[0]
    f1 = results[(results["layer"] == 1) & (results["k"] == 1)].set_index("control")["test_f1_score"]
    assert row["selectivity"] == pytest.approx(f1[""] - f1["shuffled_labels"])


def test_the_planted_neuron_is_selective_and_noise_is_not(results):
    table = selectivity(results)
    first = table[table["k"] == 1].set_index(["layer", "control"])["selectivity"]
    assert first[1, "shuffled_labels"] > 0.3
    assert first[1, "random_neurons"] > 0.3
    assert first[1, "rotation"] > 0.05
    assert abs(first[0, "shuffled_labels"]) < 0.3


def test_another_score_may_be_compared(results):
    assert selectivity(results, "test_roc_auc")["score"].max() == results["test_roc_auc"].max()


def test_without_controls_there_is_nothing_to_compare(results):
    table = selectivity(results[results["control"] == ""])
    assert table.empty
    assert {*KEYS, "control", "score", "control_score", "selectivity"} == set(table.columns)


def test_a_run_is_compared_like_its_rows(run, results):
    assert selectivity(run).equals(selectivity(results))
