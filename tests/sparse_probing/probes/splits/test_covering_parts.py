"""Splits and folds exist where brute force finds one, for every seed, and only there."""

from itertools import product

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from probing_datasets.foundation.errors import SplitError
from sparse_probing.probes.splits import covering_parts as module
from sparse_probing.probes.splits.covering_parts import covering_parts
from sparse_probing.probes.splits.grouped_folds import grouped_folds
from sparse_probing.probes.splits.grouped_split import grouped_multiclass_split, grouped_split, grouped_stratified_split

SEEDS = range(8)


def members_of(labels, groups):
    table = [[((groups == g) & (labels == c)).any() for c in np.unique(labels)] for g in np.unique(groups)]
    return np.array(table, dtype=bool)


def exists(members, n_parts):
    """Try every assignment of groups to parts."""
    return any(
        all(members[np.array(parts) == part].any(axis=0).all() for part in range(n_parts))
        for parts in product(range(n_parts), repeat=len(members))
    )


def succeeds(split, labels, test_sides):
    try:
        sides = test_sides(split())
    except SplitError:
        return False
    assert all(set(labels[side]) == set(labels) for side in sides)
    return True


small_problems = st.integers(1, 6).flatmap(
    lambda n_groups: st.lists(
        st.tuples(st.integers(0, n_groups - 1), st.integers(0, 3)),
        min_size=2,
        max_size=14,
    )
)


@settings(max_examples=300)
@given(small_problems, st.floats(0.05, 0.95))
@example([(0, 1), (1, 1), (1, 0), (2, 1), (2, 0)], 0.3)
def test_a_split_of_many_classes_is_found_exactly_where_one_exists(rows, fraction):
    groups, labels = np.array(rows).T
    feasible = len(set(groups)) > 1 and exists(members_of(labels, groups), 2)
    for seed in SEEDS:
        found = succeeds(
            lambda seed=seed: grouped_multiclass_split(labels, groups, fraction, seed),
            labels,
            lambda split: (split.train, split.test),
        )
        assert found == feasible


@settings(max_examples=200)
@given(small_problems, st.integers(2, 4))
def test_folds_are_found_exactly_where_they_exist(rows, n_folds):
    groups, labels = np.array(rows).T
    feasible = exists(members_of(labels, groups), n_folds)
    for seed in range(4):
        found = succeeds(
            lambda seed=seed: grouped_folds(labels, groups, n_folds, seed),
            labels,
            lambda folds: [fold.test for fold in folds],
        )
        assert found == feasible


def test_the_split_that_half_of_the_seeds_refused():
    labels, groups = np.array([1, 1, -1, 1, -1]), np.array([0, 1, 1, 2, 2])
    for seed in SEEDS:
        split = grouped_stratified_split(labels, groups, 0.3, seed)
        assert set(labels[split.train]) == set(labels[split.test]) == {-1, 1}
        assert len(split.test) in (2, 3)


@settings(max_examples=60)
@given(st.integers(0, 2**32 - 1), st.floats(0.2, 0.8))
def test_a_repaired_split_is_about_as_near_to_the_fraction_as_the_best_one(seed, fraction):
    rng = np.random.default_rng(seed)
    groups = rng.integers(0, 9, 60)
    labels = np.where(groups < 4, rng.integers(0, 3, 60), 0)
    members = members_of(labels, groups)
    rows = np.array([[((groups == g) & (labels == c)).sum() for c in np.unique(labels)] for g in np.unique(groups)])
    shares = rows / rows.sum(axis=0)
    best = min(
        (
            np.abs(shares[np.array(sides) == 1].sum(axis=0) - fraction).sum()
            for sides in product((0, 1), repeat=len(members))
            if all(members[np.array(sides) == side].any(axis=0).all() for side in (0, 1))
        ),
        default=None,
    )
    if best is None:
        return
    split = grouped_multiclass_split(labels, groups, fraction, seed)
    ours = np.abs([(labels[split.test] == c).sum() / (labels == c).sum() - fraction for c in np.unique(labels)]).sum()
    assert ours <= best + 1.2


def test_classes_whose_groups_must_alternate_along_a_chain():
    # Each class is in two neighbouring groups: only the two alternating colourings of the chain have all on both sides.
    members = np.zeros((40, 39), dtype=bool)
    members[np.arange(39), np.arange(39)] = members[np.arange(39) + 1, np.arange(39)] = True
    parts = covering_parts(members, 2, np.random.default_rng(0))
    assert (np.diff(parts) != 0).all()
    # A chain of odd length that closes has none.
    ring = np.zeros((41, 41), dtype=bool)
    ring[np.arange(41), np.arange(41)] = ring[(np.arange(41) + 1) % 41, np.arange(41)] = True
    assert covering_parts(ring, 2, np.random.default_rng(0)) is None


def test_many_classes_in_few_groups_of_thousands():
    rng = np.random.default_rng(0)
    members = np.zeros((5000, 60), dtype=bool)
    for number in range(60):
        members[rng.choice(5000, 6, replace=False), number] = True
    parts = covering_parts(members, 5, rng)
    assert all(members[parts == part].any(axis=0).all() for part in range(5))


def test_a_search_that_ends_without_an_answer_does_not_claim_that_there_is_none(monkeypatch):
    monkeypatch.setattr(module, "MOST_STEPS", 3)
    members = np.ones((8, 4), dtype=bool) & (np.arange(8)[:, None] % 4 == np.arange(4))
    with pytest.raises(SplitError, match="was found in 3 steps, and none was excluded"):
        covering_parts(members, 2, np.random.default_rng(0))


def test_a_triangle_of_classes_is_refused_by_name():
    groups, labels = np.array([0, 0, 1, 1, 2, 2]), np.array(list("abbcca"))
    with pytest.raises(SplitError, match="rows of class a, rows of class b, rows of class c share too few groups"):
        grouped_multiclass_split(labels, groups, 0.5, 0)
    with pytest.raises(SplitError, match="classes a, b, c share too few groups"):
        grouped_folds(labels, groups, 2, 0)


def test_groups_without_classes_are_counted_as_groups():
    with pytest.raises(SplitError, match="There are 2 groups, too few for 3 folds"):
        grouped_folds(None, [0, 0, 1], 3, 0)
    for seed in SEEDS:
        assert 0 < len(grouped_split(np.array([0, 0, 1]), 0.05, seed).test) < 3
