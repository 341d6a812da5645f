"""Folds with whole groups: laws, balance, rare classes, errors."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.model_selection import StratifiedGroupKFold

from probing_datasets.foundation.errors import SplitError
from sparse_probing.probes.splits.grouped_folds import grouped_folds
from tests.builders.layers import rare_class_in_uneven_groups


@given(st.integers(0, 2**32 - 1), st.integers(2, 5), st.integers(2, 4))
def test_laws(seed, n_folds, n_classes):
    rng = np.random.default_rng(seed)
    groups = rng.integers(0, 60, 400)
    labels = np.where(rng.random(400) < 0.5, groups % n_classes, rng.integers(0, n_classes, 400))
    folds = grouped_folds(labels, groups, n_folds, seed)
    assert np.array_equal(np.sort(np.concatenate([fold.test for fold in folds])), np.arange(400))
    for fold in folds:
        assert np.array_equal(np.sort(np.concatenate([fold.train, fold.test])), np.arange(400))
        assert not set(groups[fold.train]) & set(groups[fold.test])
        assert set(labels[fold.test]) == set(labels[fold.train]) == set(labels)
    again = grouped_folds(labels, groups, n_folds, seed)
    assert all(np.array_equal(a.test, b.test) for a, b in zip(folds, again, strict=True))


def test_classes_are_balanced_and_the_seed_changes_folds():
    groups = np.arange(3000) // 3
    labels = np.where(groups % 10 == 0, "rare", "usual")
    folds = grouped_folds(labels, groups, 5, 0)
    assert [(labels[fold.test] == "rare").sum() for fold in folds] == [60] * 5
    assert {len(fold.test) for fold in folds} == {600}
    assert not np.array_equal(folds[0].test, grouped_folds(labels, groups, 5, 1)[0].test)


def n_without_a_class(labels, tests):
    return sum(len(set(labels[rows])) < 2 for rows in tests)


def test_every_fold_has_a_class_with_enough_groups_and_scikit_learn_s_folds_may_not():
    theirs = 0
    for seed in range(40):
        labels, groups = rare_class_in_uneven_groups(seed)
        assert n_without_a_class(labels, [fold.test for fold in grouped_folds(labels, groups, 5, seed)]) == 0
        peer = StratifiedGroupKFold(5, shuffle=True, random_state=seed).split(labels, labels, groups)
        theirs += n_without_a_class(labels, [test for _, test in peer])
    assert theirs > 0


def test_folds_without_classes_are_of_about_as_many_rows():
    groups = np.random.default_rng(0).integers(0, 100, 2000)
    folds = grouped_folds(None, groups, 4, 0)
    assert all(abs(len(fold.test) - 500) < 15 for fold in folds)


@pytest.mark.parametrize(
    ("labels", "groups", "n_folds", "message"),
    [
        ([1, 1, 1, -1, -1], [0, 0, 1, 2, 3], 3, "Class -1 is in 2 groups, too few for 3 folds"),
        ([1, -1, 1, -1], [0, 1, 2], 2, "do not fit together"),
        ([1, -1, 1, -1], [0, 1, 2, 3], 1, "1 folds"),
    ],
)
def test_errors(labels, groups, n_folds, message):
    with pytest.raises(SplitError, match=message):
        grouped_folds(labels, groups, n_folds, 0)
