"""Lines of monitor metrics: which class, which rate, how many negatives."""

import pandas as pd
import pytest

from sparse_probing.reporting.reading.chosen_layers import read_features
from sparse_probing.reporting.reading.monitor_lines import monitor_lines


def feature_with(confusion, values, intercepts, class_names):
    """Return a feature with one row, whose recalls are ``values`` and other metrics near them."""
    row = {
        "feature": "mood",
        "control": "",
        "probe": "one_vs_rest",
        "layer": 4,
        "fold": 0,
        "validation_log_loss": 0.5,
        "test_confusion": confusion,
        "class_intercepts": intercepts,
        "class_names": class_names,
        "classes": None,
    }
    for i, name in enumerate(("recall", "recall_low", "recall_high")):
        row[f"test_monitor_{name}"] = [value + i / 100 for value in values]
        row[f"test_monitor_{name.replace('recall', 'partial_roc_auc')}"] = [value / 2 + i / 100 for value in values]
    (feature,) = read_features(pd.DataFrame([row]))
    return feature


def test_a_binary_probe_has_one_score_and_its_negatives_are_the_rows_without_the_feature():
    lines = monitor_lines(feature_with([700, 50, 20, 30], [0.1, 0.2, 0.3], None, None))
    assert lines["class"].tolist() == ["mood"] * 3
    assert lines["false_positive_rate"].tolist() == [0.001, 0.01, 0.05]
    assert lines["n_negative"].tolist() == [750] * 3
    assert lines["recall"].tolist() == [0.1, 0.2, 0.3]
    assert lines["recall_high"].tolist() == pytest.approx([0.12, 0.22, 0.32])
    assert lines["partial_roc_auc_low"].tolist() == pytest.approx([0.06, 0.11, 0.16])
    assert "cannot be measured with 750 negatives" in lines["note"][0]
    assert lines["note"][1:].tolist() == ["", ""]


def test_every_class_of_several_has_its_score_and_its_negatives():
    values = [k / 10 + i / 100 for k in range(3) for i in range(3)]
    confusion = [10, 0, 0, 5, 15, 0, 0, 0, 30]
    lines = monitor_lines(feature_with(confusion, values, [0.0, 0.0, 0.0], ["calm", "happy", "sad"]))
    assert lines["class"].tolist() == [name for name in ("calm", "happy", "sad") for _ in range(3)]
    assert lines["n_negative"].tolist() == [50] * 3 + [40] * 3 + [30] * 3
    assert lines["recall"].tolist() == pytest.approx(values)


def test_two_named_classes_have_a_score_each():
    lines = monitor_lines(feature_with([10, 0, 5, 15], [0.1] * 6, [0.0, 0.0], ["no", "yes"]))
    assert lines["class"].tolist() == ["no"] * 3 + ["yes"] * 3
    assert lines["n_negative"].tolist() == [20] * 3 + [10] * 3
