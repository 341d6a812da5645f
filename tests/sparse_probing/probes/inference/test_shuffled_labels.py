"""Shuffled labels: groups exchange labels or patterns of labels, and lose no class."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sparse_probing.probes.inference.shuffled_labels import shuffled_labels


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


@given(st.integers(0, 2**32 - 1))
def test_groups_of_several_labels_exchange_patterns(seed):
    """The number of positives in a row stays together: rows that move freely would be single ones."""
    rng = np.random.default_rng(seed)
    groups, labels = np.arange(200) // 10, np.where(np.arange(200) % 10 < 4, 1, -1)
    labels[:100] = np.where(np.arange(100) % 10 < 2, 1, -1)
    shuffled = shuffled_labels(labels, groups, rng).reshape(20, 10)
    assert sorted((shuffled > 0).sum(axis=1)) == [2] * 10 + [4] * 10
    begins = (shuffled > 0) & (np.roll(shuffled, 1, axis=1) < 0)
    assert (begins.sum(axis=1) == 1).all()


@given(st.integers(0, 2**32 - 1))
def test_no_class_is_lost(seed):
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(12), rng.integers(1, 9, 12))
    labels = rng.choice(4, len(groups), p=[0.7, 0.2, 0.07, 0.03])
    shuffled = shuffled_labels(labels, groups, rng)
    assert set(shuffled) == set(labels)


def test_dependence_within_sequences_is_what_distinguishes_the_two():
    sequences = np.repeat(np.arange(100), 20)
    labels = np.where(sequences % 2, 1, -1)
    of_sequences = shuffled_labels(labels, sequences, np.random.default_rng(0))
    of_rows = shuffled_labels(labels, np.arange(len(labels)), np.random.default_rng(0))

    def agreement(values):
        return np.mean(values[1:] == values[:-1])

    assert agreement(of_sequences) > 0.95
    assert agreement(of_rows) < 0.6
    assert np.mean(of_sequences == labels) < 0.8


def test_same_generator_same_labels():
    labels, sequences = np.tile([-1, 1], 20), np.arange(40)
    first, second = (shuffled_labels(labels, sequences, np.random.default_rng(5)) for _ in range(2))
    assert np.array_equal(first, second)


def test_sequences_keep_one_label_in_groups_of_several():
    sequences, groups = np.arange(12) // 2, np.arange(12) // 4
    by_sequence = np.repeat([1, -1, 1, -1, -1, 1], 2)
    for seed in range(20):
        shuffled = shuffled_labels(by_sequence, groups, np.random.default_rng(seed), sequences)
        assert np.array_equal(shuffled, np.repeat(shuffled[::2], 2))
        assert (shuffled.reshape(3, 4).sum(axis=1) == 0).all()
