"""Scores below chance: of one probe, of the worst of many neurons, in rows."""

import numpy as np
import pandas as pd

from sparse_probing.probes.inference.below_chance import below_chance, below_chance_warning


def test_an_interval_below_a_half_counts_unless_the_correction_says_no():
    high = np.array([0.45, 0.5, np.nan, 0.49, 0.2])
    assert below_chance(high).tolist() == [True, False, False, True, True]
    corrected = np.array([0.01, 0.01, np.nan, 0.3, np.nan])
    assert below_chance(high, corrected).tolist() == [True, False, False, False, True]


def test_rows_name_the_worst_probe_and_controls_do_not_count():
    rows = pd.DataFrame(
        {
            "control": ["", "", "shuffled_labels", ""],
            "feature": ["a", "b", "c", "d"],
            "layer": [0, 3, 1, 2],
            "test_roc_auc": [0.42, 0.36, 0.2, 0.7],
            "test_roc_auc_high": [0.48, 0.44, 0.3, 0.8],
            "p_value": [0.01, 0.0005, 0.0005, 0.0005],
            "p_value_corrected": [np.nan, 0.001, 0.001, 0.001],
            "train_roc_auc": 0.9,
        }
    )
    message = below_chance_warning(rows)
    assert message is not None
    assert message.startswith("2 of 3 probes")
    assert "b in layer 3, has ROC-AUC 0.36" in message
    assert below_chance_warning(rows.iloc[2:]) is None
    # What is worse than chance in training too is not reversed.
    assert below_chance_warning(rows.assign(train_roc_auc=0.2)) is None


def test_of_a_hundred_probes_without_a_correction_one_just_below_a_half_is_chance():
    p_value = np.linspace(0.03, 1, 100)
    rows = pd.DataFrame({"control": "", "feature": "a", "layer": 0, "test_roc_auc": 0.4, "p_value": p_value})
    rows = rows.assign(
        test_roc_auc_high=np.where(p_value < 0.05, 0.49, 0.6), p_value_corrected=np.nan, train_roc_auc=0.9
    )
    assert below_chance_warning(rows) is None
    message = below_chance_warning(rows.assign(p_value=p_value / 1000))
    assert message is not None
    assert message.startswith("3 of 100 probes")
