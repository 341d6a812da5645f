"""Splits with whole groups: laws, fractions, classes that share groups, errors."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from probing_datasets.foundation.errors import SplitError
from sparse_probing.probes.splits.grouped_folds import grouped_folds
from sparse_probing.probes.splits.grouped_split import grouped_multiclass_split, grouped_split, grouped_stratified_split
from tests.builders.layers import labelled_groups


@given(labelled_groups())
def test_laws(case):
    labels, groups, fraction, seed = case
    try:
        split = grouped_stratified_split(labels, groups, fraction, seed)
    except SplitError:
        assume(False)
    assert split.train.dtype == split.test.dtype == np.int64
    assert (np.diff(split.train) > 0).all()
    assert (np.diff(split.test) > 0).all()
    assert np.array_equal(np.sort(np.concatenate([split.train, split.test])), np.arange(len(labels)))
    assert not set(groups[split.train]) & set(groups[split.test])
    for side in (split.train, split.test):
        assert set(labels[side]) == {-1, 1}
    largest_group = np.bincount(groups + 3, weights=labels == 1).max()
    assert abs((labels[split.test] == 1).sum() - fraction * (labels == 1).sum()) <= largest_group
    again = grouped_stratified_split(labels, groups, fraction, seed)
    assert np.array_equal(split.test, again.test)


def test_fractions_of_both_classes_of_a_million_rows():
    rng = np.random.default_rng(0)
    n, n_groups = 1_000_000, 100_000
    groups = rng.integers(0, n_groups, n)
    labels = np.where(rng.random(n_groups)[groups] < 0.1, 1, -1).astype(np.int8)
    labels[rng.random(n) < 0.5] = -1
    split = grouped_stratified_split(labels, groups, 0.3, seed=1)
    for value in (-1, 1):
        assert (labels[split.test] == value).sum() / (labels == value).sum() == pytest.approx(0.3, abs=1e-3)


def test_seed_changes_the_split():
    labels, groups = np.tile([-1, 1], 50), np.arange(100) // 2
    first, second = (grouped_stratified_split(labels, groups, 0.3, seed).test for seed in range(2))
    assert not np.array_equal(first, second)


def test_row_split_control_would_cross_groups():
    groups = np.repeat(np.arange(20), 5)
    half = np.random.default_rng(0).permutation(100)[:30]
    assert set(groups[half]) & set(np.delete(groups, half))


@pytest.mark.parametrize(
    ("labels", "groups", "fraction", "message"),
    [
        ([1, 1, -1, -1], [0, 0, 1, 2], 0.5, "2 positive rows in 1 groups.*at least 2.*--feature_subset"),
        ([1, 1, -1, -1], [0, 1, 2, 2], 0.5, "2 negative rows in 1 groups"),
        ([-1, -1, -1], [0, 1, 2], 0.5, "0 positive rows in 0 groups"),
        ([1, 1, -1, -1], [0, 1, 2, 3], 1.0, "test fraction is 1.0"),
        ([1, 1, -1], [0, 1], 0.5, "one length"),
        ([0, 1, 1], [0, 1, 2], 0.5, "-1 or \\+1"),
    ],
)
def test_errors_name_what_is_missing(labels, groups, fraction, message):
    with pytest.raises(SplitError, match=message):
        grouped_stratified_split(labels, groups, fraction, 0)


def test_negatives_in_two_groups_that_the_positives_would_put_on_one_side():
    labels, groups = np.array([1, -1, 1, -1, 1, 1, 1]), np.array([0, 0, 1, 1, 2, 3, 4])
    for seed in range(30):
        split = grouped_stratified_split(labels, groups, 0.5, seed)
        assert set(labels[split.test]) == set(labels[split.train]) == {-1, 1}
        assert len({0, 1} & set(groups[split.test])) == 1


@given(st.integers(0, 2**32 - 1), st.integers(2, 6), st.integers(4, 60), st.floats(0.1, 0.9))
def test_laws_of_many_classes(seed, n_classes, n_groups, fraction):
    rng = np.random.default_rng(seed)
    groups = rng.integers(0, n_groups, 300)
    labels = np.where(rng.random(300) < 0.5, rng.integers(0, n_classes, 300), (groups * 7919) % n_classes)
    try:
        split = grouped_multiclass_split(labels, groups, fraction, seed)
    except SplitError:
        assume(False)
    assert np.array_equal(np.sort(np.concatenate([split.train, split.test])), np.arange(300))
    assert not set(groups[split.train]) & set(groups[split.test])
    assert set(labels[split.train]) == set(labels[split.test]) == set(labels)


def test_every_class_is_tested_at_about_the_fraction():
    groups = np.random.default_rng(0).integers(0, 2000, 20_000)
    labels = np.array(["de", "en", "fr", "nl"])[np.minimum(groups % 10, 3)]
    split = grouped_multiclass_split(labels, groups, 0.3, seed=1)
    for name in set(labels):
        assert (labels[split.test] == name).sum() / (labels == name).sum() == pytest.approx(0.3, abs=2e-3)


def test_class_in_one_group_is_refused_by_name():
    labels, groups = np.array([0, 0, 1, 1, 2, 2]), np.array([0, 1, 2, 3, 4, 4])
    with pytest.raises(SplitError, match="2 rows of class 2 in 1 groups"):
        grouped_multiclass_split(labels.astype(float), groups, 0.5, 0)
    with pytest.raises(SplitError, match="2 rows of class fear in 1 groups"):
        grouped_multiclass_split(labels.astype(float), groups, 0.5, 0, ("joy", "anger", "fear"))
    with pytest.raises(SplitError, match="Class fear is in 1 groups, too few for 2 folds"):
        grouped_folds(labels.astype(float), groups, 2, 0, ("joy", "anger", "fear"))


def test_two_classes_of_any_name_are_split_as_positives_and_negatives():
    groups = np.arange(300) // 3
    labels = np.where(groups % 5 == 0, 1, -1)
    named = np.where(labels == 1, "rare", "usual")
    binary, multiclass = (
        grouped_stratified_split(labels, groups, 0.3, 4),
        grouped_multiclass_split(named, groups, 0.3, 4),
    )
    assert np.array_equal(binary.test, multiclass.test)


@given(st.integers(0, 2**32 - 1), st.integers(2, 60), st.floats(0.1, 0.9))
def test_split_of_groups_without_classes(seed, n_groups, fraction):
    groups = np.random.default_rng(seed).integers(0, n_groups, 200)
    groups[:2] = 0, 1
    split = grouped_split(groups, fraction, seed)
    assert np.array_equal(np.sort(np.concatenate([split.train, split.test])), np.arange(200))
    assert not set(groups[split.train]) & set(groups[split.test])
    assert len(split.train)
    assert abs(len(split.test) - fraction * 200) <= np.bincount(groups).max()


def test_one_group_cannot_be_split():
    with pytest.raises(SplitError, match="3 rows in 1 groups"):
        grouped_split(np.zeros(3, dtype=int), 0.5, 0)
