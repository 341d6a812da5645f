"""Shuffled labels: sequences or rows are exchanged, and which units those are."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from sparse_probing.probes.shuffled_labels import exchangeable_units, shuffled_labels


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 30))
def test_labels_of_sequences_stay_together(seed, n_sequences):
    rng = np.random.default_rng(seed)
    sequences = rng.integers(0, n_sequences, 100) * 3
    label_of_sequence = rng.choice(np.array([-1, 1], dtype=np.int8), n_sequences * 3)
    shuffled = shuffled_labels(label_of_sequence[sequences], sequences, rng)
    assert shuffled.dtype == np.int8
    present = np.unique(sequences)
    labels_after = [set(shuffled[sequences == code]) for code in present]
    assert all(len(labels) == 1 for labels in labels_after)
    assert sum(labels == {1} for labels in labels_after) == (label_of_sequence[present] == 1).sum()


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_labels_of_rows_are_permuted_over_rows(seed):
    rng = np.random.default_rng(seed)
    sequences, labels = np.arange(200) // 10, np.tile([-1, 1, 1, 1, -1], 40)
    shuffled = shuffled_labels(labels, sequences, rng)
    assert sorted(shuffled) == sorted(labels)
    assert abs(np.corrcoef(shuffled, labels)[0, 1]) < 0.4


def test_dependence_within_sequences_is_what_distinguishes_the_two():
    sequences = np.repeat(np.arange(100), 20)
    labels = np.where(sequences % 2, 1, -1)
    of_sequences = shuffled_labels(labels, sequences, np.random.default_rng(0))
    of_rows = shuffled_labels(labels, np.zeros_like(sequences), np.random.default_rng(0))

    def agreement(values):
        return np.mean(values[1:] == values[:-1])

    assert agreement(of_sequences) > 0.95
    assert agreement(of_rows) < 0.6
    assert np.mean(of_sequences == labels) < 0.8


def test_same_generator_same_labels():
    labels, sequences = np.tile([-1, 1], 20), np.arange(40)
    first, second = (shuffled_labels(labels, sequences, np.random.default_rng(5)) for _ in range(2))
    assert np.array_equal(first, second)


def test_groups_are_exchanged_where_each_has_one_label():
    sequences, groups = np.arange(12) // 2, np.arange(12) // 4
    by_group = np.repeat([1, -1, 1], 4)
    assert np.array_equal(exchangeable_units(by_group, sequences, groups), groups)
    by_sequence = np.repeat([1, -1, 1, 1, -1, 1], 2)
    assert np.array_equal(exchangeable_units(by_sequence, sequences, groups), sequences)
