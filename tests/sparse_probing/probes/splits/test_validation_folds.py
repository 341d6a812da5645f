"""Validation folds: as many as the classes allow, groups whole."""

from __future__ import annotations

import numpy as np
import pytest

from sparse_probing.probes.splits.validation_folds import validation_folds


@pytest.mark.parametrize(("n_positive_groups", "expected"), [(9, 5), (5, 5), (4, 4), (2, 2), (1, 0)])
def test_there_are_as_many_folds_as_the_rarer_class_has_groups(n_positive_groups, expected):
    group = np.arange(60) // 3
    y = np.where(group < n_positive_groups, 1.0, -1.0)
    folds = validation_folds(y, group, 5, seed=0)
    assert len(folds) == expected
    for fold in folds:
        assert set(y[fold.train]) == set(y[fold.test]) == {-1.0, 1.0}
        assert not set(group[fold.train]) & set(group[fold.test])
    if folds:
        assert np.array_equal(np.sort(np.concatenate([fold.test for fold in folds])), np.arange(60))


def test_numbers_need_two_groups():
    assert len(validation_folds(None, np.array([0, 0, 1, 1]), 5, 0)) == 2
    assert validation_folds(None, np.zeros(4, int), 5, 0) == []
