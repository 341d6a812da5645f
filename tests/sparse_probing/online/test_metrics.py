"""The frame of measures: its ranges over layers, and what the command prints of a run with many probes."""

import pandas as pd

from sparse_probing.online.metrics import ranges_over_layers


def test_ranges_are_those_of_each_label_set_hook_point_and_pooling():
    frame = pd.DataFrame(
        {
            "label_set": ["German", "German", "German", "length"],
            "hook_point": ["hook_resid_post", "hook_resid_post", "mlp.hook_post", "mlp.hook_post"],
            "pooling": "mean",
            "layer": [0, 1, 0, 0],
            "n_test": [30, 30, 30, 12],
            "accuracy": [0.5, 0.75, 0.9, None],
            "roc_auc": [0.6, 0.8, 0.95, None],
            "r2": [None, None, None, 0.25],
            "shuffled_accuracy": [None] * 4,
        }
    )
    ranges = ranges_over_layers(frame).set_index(["label_set", "hook_point"])
    assert ranges.loc[("German", "hook_resid_post"), "accuracy"] == "0.500 to 0.750"
    assert ranges.loc[("German", "mlp.hook_post"), "roc_auc"] == "0.950 to 0.950"
    assert ranges.loc[("length", "mlp.hook_post"), "r2"] == "0.250 to 0.250"
    assert ranges.loc[("length", "mlp.hook_post"), "accuracy"] == ""
    assert ranges["layers"].tolist() == [2, 1, 1]
    assert "shuffled_accuracy" not in ranges
