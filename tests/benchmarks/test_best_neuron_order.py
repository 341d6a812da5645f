"""The comparison of orders: each finds a planted neuron, and only one depends on the scale of a layer."""

import numpy as np
import pandas as pd
import pytest

from benchmarks.best_neuron_order import best_of_layers, measure, scores_of_layer, table_of
from tests.builders.layers import growing_shifts

PLANTED = 29
"""The last neuron has the largest shift."""


@pytest.fixture
def layer():
    return growing_shifts(400, PLANTED + 1, dtype=np.float32)


def test_every_order_names_the_planted_neuron_and_its_layer(layer):
    X, y = layer
    noise = np.random.default_rng(1).standard_normal(X.shape).astype(np.float32)
    best = best_of_layers([noise, X], np.arange(len(y)), y)
    assert {(at, neuron) for at, neuron, _ in best.values()} == {(1, PLANTED)}
    assert {ties for _, _, ties in best.values()} == {1}


def test_only_the_raw_objective_depends_on_the_scale_of_the_layer(layer):
    X, y = layer
    before, after = scores_of_layer(X, y), scores_of_layer(X * np.float32(64), y)
    changed = {order for order in before if not np.allclose(before[order], after[order], rtol=1e-4)}
    assert changed == {"objective, raw"}


def test_the_chosen_neuron_is_measured_on_other_rows(layer):
    X, y = layer
    held_out = np.arange(300, 400)
    scores = measure(X[:300, [PLANTED]], y[:300], X[held_out][:, [PLANTED]], y[held_out])
    assert scores["roc_auc"] > 0.8
    shuffled = measure(X[:300, [PLANTED]], y[:300], X[held_out][:, [PLANTED]], np.roll(y[held_out], 1))
    assert shuffled["roc_auc"] < scores["roc_auc"]


def test_the_table_counts_choices_that_are_below_always_yes():
    choice = {"model": "demo", "dataset": "made", "feature": "a", "order": "F1", "layer": 0, "neuron": 1, "ties": 2}
    scores = {"roc_auc": 0.6, "f1_score": 0.3, "always_yes": 0.4, "n_layers": 4}
    rows = [choice | scores | {"seed": seed, "corpus": "", "layer": seed} for seed in (0, 1)]
    rows += [choice | {"seed": 0, "corpus": corpus} for corpus in ("news", "wiki")]
    (row,) = table_of(pd.DataFrame(rows))
    assert row["below always yes"] == "2 of 2"
    assert row["several share the best score"] == "2"
    assert row["same neuron for all seeds"] == "0 of 1"
    assert row["same neuron on two corpora"] == "1 of 1"
