"""Splits of features: groups stay whole, folds test every row once, multiclass features become binary ones."""

import dataclasses

import numpy as np
import pytest

from probing_datasets.foundation.errors import SplitError
from sparse_probing.config import SplitConfig
from sparse_probing.studies.base.feature_splits import one_vs_rest, split_features, split_rows
from tests.builders.studies import rows_in_groups

N = 240
ALTERNATING = np.where(np.arange(N) // 4 % 2, 1.0, -1.0)
"""The labels of every other group."""


def test_groups_are_on_one_side_and_folds_test_every_row_once():
    splits = split_rows("a", "binary", rows_in_groups(ALTERNATING), SplitConfig(test_folds=4), 0)
    assert [split.fold for split in splits] == [0, 1, 2, 3]
    assert sorted(np.concatenate([split.split.test for split in splits])) == list(range(N))
    for split in splits:
        assert not set(split.rows.group[split.split.train]) & set(split.rows.group[split.split.test])


def test_more_folds_than_groups_of_a_class():
    with pytest.raises(SplitError, match="31|groups"):
        split_rows("a", "binary", rows_in_groups(ALTERNATING), SplitConfig(test_folds=31), 0)


@pytest.mark.parametrize("kind", ["multiclass", "regression"])
def test_other_kinds_are_split_by_groups_too(kind):
    label = np.arange(N) // 4 % 3 if kind == "multiclass" else np.arange(N) / 7
    (split,) = split_rows("a", kind, rows_in_groups(label.astype(float)), SplitConfig(), 0)
    train, test = (set(split.rows.group[side]) for side in (split.split.train, split.split.test))
    assert not train & test
    assert len(split.split.test) == pytest.approx(0.3 * N, abs=8)


def test_one_feature_for_each_class_however_large_its_number():
    label = np.repeat([1_000_000.0, 1_000_001.0, 3.0], N // 3)
    parts = one_vs_rest("t", rows_in_groups(label))
    assert list(parts) == ["t=3", "t=1000000", "t=1000001"]
    for name, rows in parts.items():
        assert ((rows.label == 1) == (label == int(name.split("=")[1]))).all()


def test_classes_with_names_give_features_of_these_names():
    rows = dataclasses.replace(rows_in_groups((np.arange(N) // 4 % 3).astype(float)), classes=("Fem", "Masc", "Neut"))
    parts = one_vs_rest("Gender", rows)
    assert list(parts) == ["Gender=Fem", "Gender=Masc", "Gender=Neut"]
    assert ((parts["Gender=Masc"].label == 1) == (rows.label == 1)).all()
    splits, _ = split_features({"Gender": ("multiclass", rows)}, "binary", SplitConfig(), 0)
    assert [split.feature for split in splits] == list(parts)


def test_a_feature_that_cannot_be_split_is_named_and_the_others_are_split():
    one_class = rows_in_groups(np.full(N, -1.0))
    features = {"none": ("binary", one_class), "half": ("binary", rows_in_groups(ALTERNATING))}
    splits, failures = split_features(features, "binary", SplitConfig(), 0)
    assert [split.feature for split in splits] == ["half"]
    assert set(failures) == {"none"}


def test_errors_name_the_class_that_has_too_few_groups():
    label = (np.arange(N) // 4 % 2).astype(float)
    label[:4] = 2.0  # one group
    rows = dataclasses.replace(rows_in_groups(label), classes=("joy", "anger", "fear"))
    given = dataclasses.replace(rows, in_test=np.arange(N) >= N // 2)
    cases = [
        (rows, SplitConfig(), "4 rows of class fear in 1 groups"),
        (rows, SplitConfig(test_folds=3), "Class fear is in 1 groups, too few for 3 folds"),
        (given, SplitConfig(), "no test rows of label fear"),
        (dataclasses.replace(rows, classes=()), SplitConfig(), "4 rows of class 2 in 1 groups"),
    ]
    for case, config, message in cases:
        _, failures = split_features({"mood": ("multiclass", case)}, "multiclass", config, 0)
        assert message in failures["mood"]
    _, failures = split_features({"mood": ("multiclass", rows)}, "binary", SplitConfig(test_folds=3), 0)
    assert failures == {
        "mood=fear": "Class positive is in 1 groups, too few for 3 folds. Use fewer folds or more data."
    }


def test_a_multiclass_feature_is_split_by_class_for_a_binary_study():
    rows = rows_in_groups((np.arange(N) // 4 % 3).astype(float))
    splits, failures = split_features({"t": ("multiclass", rows)}, "binary", SplitConfig(), 0)
    assert [split.feature for split in splits] == ["t=0", "t=1", "t=2"]
    assert failures == {}
    (whole,), _ = split_features({"t": ("multiclass", rows)}, "multiclass", SplitConfig(), 0)
    assert set(whole.rows.label) == {0, 1, 2}
