"""Sampling of rows and positions: laws, and the rule as it is written in the paper."""

from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probing_datasets.building.row_sampling import sample_feature, sample_positions, subsample_evenly

seeds = st.integers(0, 2**32 - 1)


@st.composite
def features(draw):
    rng = np.random.default_rng(draw(seeds))
    n = draw(st.integers(1, 300))
    is_positive = rng.random(n) < draw(st.floats(0, 1))
    return is_positive, rng.permutation(n), draw(st.integers(1, 400)), draw(st.floats(0.05, 0.95))


def rows_one_by_one(is_positive, priority, n_rows, fraction):
    """The rule as a loop: take candidates by priority until each class has as many rows as it may have."""
    most = min(round(n_rows * fraction), int(is_positive.sum()))
    n_negative = int((~is_positive).sum())
    negatives_each = (1 - fraction) / fraction  # in this order: products near one half round either way
    n_positive_rows = max(p for p in range(most + 1) if round(p * negatives_each) <= n_negative)
    left = {True: n_positive_rows, False: round(n_positive_rows * negatives_each)}
    taken = []
    for candidate in priority.tolist():
        if left[bool(is_positive[candidate])] > 0:
            left[bool(is_positive[candidate])] -= 1
            taken.append(candidate)
    return sorted(taken)


@settings(max_examples=30)
@given(features())
def test_sample_feature_laws(case):
    is_positive, priority, n_rows, fraction = case
    rows, label = sample_feature(*case)
    assert rows.tolist() == rows_one_by_one(*case)
    assert np.array_equal(label == 1, is_positive[rows])
    assert set(label) <= {-1.0, 1.0}
    n_positive, n_negative = int((label > 0).sum()), int((label < 0).sum())
    assert len(rows) <= n_rows + 0.5 / fraction + 0.5  # both counts are rounded
    assert abs(n_negative - n_positive * (1 - fraction) / fraction) <= 0.5 + 1e-9


@settings(max_examples=30)
@given(features(), st.integers(0, 100))
def test_more_rows_keep_the_rows_of_fewer(case, more):
    is_positive, priority, n_rows, fraction = case
    few, _ = sample_feature(is_positive, priority, n_rows, fraction)
    many, _ = sample_feature(is_positive, priority, n_rows + more, fraction)
    assert set(few) <= set(many)


def test_target_fraction_and_number_are_reached():
    rng = np.random.default_rng(0)
    is_positive = rng.random(100_000) < 0.05
    for fraction in (0.2, 0.5):
        rows, label = sample_feature(is_positive, rng.permutation(100_000), 5000, fraction)
        assert len(rows) == 5000
        assert (label > 0).mean() == fraction


def test_scarce_positives_cut_the_negatives():
    is_positive = np.arange(1000) < 30
    _, label = sample_feature(is_positive, np.random.default_rng(0).permutation(1000), 500, 0.25)
    assert (label > 0).sum() == 30
    assert (label < 0).sum() == 90


def test_features_that_share_a_priority_share_rows():
    rng = np.random.default_rng(1)
    first = rng.random(20_000) < 0.3
    second = first ^ (rng.random(20_000) < 0.05)  # nearly the same property
    shared = rng.permutation(20_000)

    def overlap(priority_of_second):
        a, _ = sample_feature(first, shared, 2000, 0.5)
        b, _ = sample_feature(second, priority_of_second, 2000, 0.5)
        return len(np.intersect1d(a, b)) / 2000

    assert overlap(shared) > 0.8
    assert overlap(rng.permutation(20_000)) < 0.2  # control: another priority


@st.composite
def sequences(draw):
    lengths = np.array(draw(st.lists(st.integers(4, 40), min_size=1, max_size=30)))
    return lengths, draw(st.integers(1, 45)), draw(st.integers(0, 2)), draw(st.integers(1, 50)), draw(seeds)


@settings(max_examples=30)
@given(sequences())
def test_sample_positions_laws(case):
    lengths, first, n_suffix, per_sequence, seed = case
    draw = partial(sample_positions, *case[:4])
    sequence, position = draw(rng=np.random.default_rng(seed))
    assert sequence.dtype == position.dtype == np.int64
    keys = sequence * 100 + position
    assert (np.diff(keys) > 0).all()  # ordered, without repetition
    for index, length in enumerate(lengths):
        drawn = position[sequence == index]
        available = range(first, length - n_suffix)
        if available:
            assert set(drawn) <= set(available)
            assert len(drawn) == min(per_sequence, len(available))
        else:
            assert drawn.tolist() == [length - n_suffix - 1]
    again = draw(rng=np.random.default_rng(seed))
    assert np.array_equal(again[0], sequence)
    assert np.array_equal(again[1], position)


def test_positions_are_drawn_evenly():
    lengths = np.full(6000, 12)
    _, position = sample_positions(lengths, 2, 1, 3, np.random.default_rng(0))
    counts = np.bincount(position, minlength=12)
    assert counts[[0, 1, 11]].tolist() == [0, 0, 0]
    expected = 6000 * 3 / 9
    assert (np.abs(counts[2:11] - expected) < 5 * np.sqrt(expected)).all()


@settings(max_examples=30)
@given(st.lists(st.sampled_from("abcd"), min_size=1, max_size=80), st.integers(0, 100), seeds)
def test_subsample_evenly_laws(labels, n, seed):
    labels = np.array(labels)
    items = subsample_evenly(labels, n, np.random.default_rng(seed))
    assert len(items) == min(n, len(labels))
    assert (np.diff(items) > 0).all()
    sizes = {label: int((labels == label).sum()) for label in np.unique(labels)}
    taken = {label: int((labels[items] == label).sum()) for label in sizes}
    not_exhausted = [taken[label] for label in sizes if taken[label] < sizes[label]]
    if not_exhausted:
        assert max(taken.values()) - min(not_exhausted) <= 1
    assert np.array_equal(items, subsample_evenly(labels, n, np.random.default_rng(seed)))


@pytest.mark.parametrize("function", ["positions", "subsample"])
def test_another_seed_gives_other_rows(function):
    def draw(seed):
        rng = np.random.default_rng(seed)
        if function == "positions":
            return sample_positions(np.full(50, 30), 1, 0, 5, rng)[1]
        return subsample_evenly(np.repeat(["a", "b"], 500), 50, rng)

    assert np.array_equal(draw(0), draw(0))
    assert not np.array_equal(draw(0), draw(1))
