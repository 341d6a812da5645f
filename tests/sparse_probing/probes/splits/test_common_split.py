"""One split for all features: found exactly where brute force finds one, near the shares, seeded, groups whole."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probing_datasets.foundation.errors import SplitError
from sparse_probing.probes.splits.common_split import ThreeParts, common_split

KINDS = ("binary", "multiclass", "regression")


def made_data(n_groups=300, seed=0, nulls=0.2):
    """Return labels (n, 3) with nulls, of rows in groups of 1 to 8, and the groups; groups keep a class."""
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(n_groups) * 7 + 3, rng.integers(1, 9, n_groups))
    of_group = np.stack(
        [
            np.where(rng.random(n_groups) < 0.2, 1.0, -1.0),
            rng.choice(5, n_groups, p=[0.4, 0.3, 0.2, 0.07, 0.03]),
            rng.normal(size=n_groups),
        ],
        axis=1,
    )
    labels = of_group[(groups - 3) // 7]
    labels[rng.random(labels.shape) < nulls] = np.nan
    order = rng.permutation(len(groups))
    return labels[order], groups[order]


def parts_of(split: ThreeParts):
    return split.train, split.validation, split.test


@pytest.mark.parametrize("seed", range(5))
def test_parts_are_disjoint_whole_groups_with_the_requested_shares_of_every_class(seed):
    labels, groups = made_data()
    parts = parts_of(common_split(labels, groups, KINDS, 0.1, 0.3, seed))
    np.testing.assert_array_equal(np.sort(np.concatenate(parts)), np.arange(len(groups)))
    for i, j in ((0, 1), (0, 2), (1, 2)):
        assert not set(groups[parts[i]]) & set(groups[parts[j]])
    for part, share in zip(parts, (0.6, 0.1, 0.3), strict=True):
        assert len(part) == pytest.approx(share * len(groups), abs=16)
        for s, n_classes in ((0, 2), (1, 5)):
            of_part, of_all = labels[part, s], labels[:, s]
            for c in np.unique(of_all[~np.isnan(of_all)])[:n_classes]:
                n = (of_part == c).sum()
                assert n > 0
                assert n == pytest.approx(share * (of_all == c).sum(), abs=12)  # whole groups of up to 8 rows
        assert (~np.isnan(labels[part, 2])).any()


def test_the_seed_decides_and_the_order_of_groups_in_memory_is_kept():
    labels, groups = made_data()
    first, again, other = (common_split(labels, groups, KINDS, 0.1, 0.3, seed) for seed in (1, 1, 2))
    for a, b in zip(parts_of(first), parts_of(again), strict=True):
        np.testing.assert_array_equal(a, b)
    assert not np.array_equal(first.test, other.test)
    assert all((np.diff(part) > 0).all() for part in parts_of(first))


def test_parts_are_not_chosen_by_the_size_of_groups():
    rng = np.random.default_rng(0)
    sizes = np.where(rng.random(400) < 0.2, 20, 2)
    groups = np.repeat(np.arange(400), sizes)
    labels = np.repeat(rng.choice([-1.0, 1.0], 400), sizes)[:, None]
    shares = np.zeros((10, 3))
    for seed in range(10):
        parts = parts_of(common_split(labels, groups, ("binary",), 0.1, 0.3, seed))
        shares[seed] = [(sizes[np.unique(groups[part])] == 20).mean() for part in parts]
    np.testing.assert_allclose(shares.mean(axis=0), (sizes == 20).mean(), atol=0.04)


def exists(groups, columns):
    """Try every assignment of groups to the three parts."""
    tags = [set(groups[column == c]) for column in columns for c in np.unique(column[~np.isnan(column)])]
    names = np.unique(groups)
    for assigned in product(range(3), repeat=len(names)):
        part = dict(zip(names, assigned, strict=True))
        if set(assigned) == {0, 1, 2} and all({part[g] for g in tag} == {0, 1, 2} for tag in tags):
            return True
    return False


@settings(deadline=None, max_examples=80)
@given(
    st.lists(
        st.tuples(st.integers(0, 5), st.sampled_from([-1.0, 1.0, np.nan]), st.sampled_from([0.0, 1.0, np.nan])),
        min_size=4,
        max_size=18,
    )
)
def test_a_split_is_found_exactly_where_one_exists(rows):
    groups, first, second = (np.array(part) for part in zip(*rows, strict=True))
    labels = np.stack([first, second], axis=1)
    feasible = all(len(np.unique(column[~np.isnan(column)])) == 2 for column in labels.T)
    feasible = feasible and exists(groups, labels.T)
    for seed in range(3):
        try:
            parts = parts_of(common_split(labels, groups, ("binary", "multiclass"), 0.2, 0.3, seed))
        except SplitError:
            assert not feasible
            continue
        assert feasible
        for part, column in product(parts, labels.T):
            present = np.unique(column[~np.isnan(column)])
            assert set(present) <= set(column[part])


def test_a_class_in_too_few_groups_is_named_with_its_set():
    labels, groups = made_data(nulls=0)
    labels[:, 1] = np.where(labels[:, 1] > 2, 0, labels[:, 1])
    labels[np.isin(groups, np.unique(groups)[:2]), 1] = 3
    names = ("is code", "language", "year")
    classes = ((), ("French", "German", "English", "Welsh"), ())
    with pytest.raises(SplitError, match="Rows of class Welsh of label set 'language' are in 2 groups"):
        common_split(labels, groups, KINDS, 0.1, 0.3, 0, names, classes)
    labels[:, 2] = np.nan
    with pytest.raises(SplitError, match="Rows with a target of label set 'year' are in 0 groups"):
        common_split(labels, groups, KINDS, 0.1, 0.3, 0, names)
    labels[:, 0] = 1
    with pytest.raises(SplitError, match="label set 'is code' are of 1 classes"):
        common_split(labels, groups, KINDS, 0.1, 0.3, 0, names)


def test_classes_that_share_their_groups_are_refused_by_name():
    # Four groups; each of four classes is in three of them. No division into three parts covers all.
    rows = [(g, c) for c in range(4) for g in range(4) if g != c]
    groups, label = np.array(rows).T
    with pytest.raises(SplitError, match="None of the ways to divide 4 groups .* class 0 of label set 'odd'"):
        common_split(label[:, None], groups, ("multiclass",), 0.2, 0.3, 0, ("odd",))


@pytest.mark.parametrize(("validation", "test"), [(0, 0.3), (0.1, 0), (0.6, 0.4), (-0.1, 0.5)])
def test_fractions_outside_their_range(validation, test):
    labels, groups = made_data(30)
    with pytest.raises(SplitError, match="must be above 0, and together below 1"):
        common_split(labels, groups, KINDS, validation, test, 0)


def test_shapes_that_do_not_fit():
    labels, groups = made_data(30)
    with pytest.raises(SplitError, match="do not fit together"):
        common_split(labels[1:], groups, KINDS, 0.1, 0.3, 0)
    with pytest.raises(SplitError, match="do not fit together"):
        common_split(labels, groups, KINDS[:2], 0.1, 0.3, 0)


def test_three_hundred_classes_of_many_groups():
    rng = np.random.default_rng(0)
    groups = np.arange(9_000)
    labels = np.stack([rng.integers(0, 300, len(groups)), rng.choice([-1.0, 1.0], len(groups))], axis=1)
    split = common_split(labels, groups, ("multiclass", "binary"), 0.1, 0.3, 0)
    assert all(len(np.unique(labels[part, 0])) == 300 for part in parts_of(split))
    assert len(split.validation) == pytest.approx(900, abs=60)


def test_without_a_test_fraction_there_are_training_and_validation_rows_only():
    labels, groups = made_data()
    split = common_split(labels, groups, KINDS, 0.2, None, 0)
    assert not len(split.test)
    np.testing.assert_array_equal(np.sort(np.concatenate([split.train, split.validation])), np.arange(len(groups)))
    assert not set(groups[split.train]) & set(groups[split.validation])
    assert len(split.validation) == pytest.approx(0.2 * len(groups), abs=16)
    for part in (split.train, split.validation):
        assert set(np.unique(labels[part, 1])[:5]) == {0, 1, 2, 3, 4}
    # Two groups of a class are enough for two parts.
    few = np.array([[0.0], [0.0], [1.0], [1.0]])
    assert len(common_split(few, np.arange(4), ("multiclass",), 0.5, None, 0).train) == 2
    with pytest.raises(SplitError, match="at least 3 are needed"):
        common_split(few, np.arange(4), ("multiclass",), 0.2, 0.3, 0)
