"""Exchanged labels: every assignment of pure groups, what stays together in mixed groups, levels of the test."""

from math import comb

import numpy as np
import pytest

from sparse_probing.probes.inference.exchanged_labels import exchanged_labels
from sparse_probing.probes.inference.permutation_test import distance_from_chance, max_statistic_test


def test_groups_of_one_label_exchange_it_in_every_way_equally_often():
    groups = np.repeat([7, 3, 9, 1, 5], [1, 4, 2, 3, 2])
    labels = np.where(np.isin(groups, [3, 5]), 1, -1)
    drawn = exchanged_labels(labels, groups, 4000, np.random.default_rng(0))
    first = np.unique(groups, return_index=True)[1]
    for column in drawn.T:
        assert (column == column[first][np.unique(groups, return_inverse=True)[1]]).all()
    ways, counts = np.unique(drawn[first], axis=1, return_counts=True)
    assert ways.shape[1] == comb(5, 2)
    assert ((ways > 0).sum(axis=0) == 2).all()
    np.testing.assert_allclose(counts, 400, atol=5 * np.sqrt(400))


def test_single_rows_keep_their_number_of_positives():
    labels = np.repeat([1, -1], [3, 30])
    drawn = exchanged_labels(labels, np.arange(33), 200, np.random.default_rng(0))
    assert ((drawn > 0).sum(axis=0) == 3).all()
    np.testing.assert_allclose((drawn > 0).mean(axis=1), 3 / 33, atol=0.08)


def test_pairs_of_both_classes_swap_within_the_pair():
    groups = np.repeat(np.arange(10), 2)
    labels = np.tile([1, -1], 10)
    drawn = exchanged_labels(labels, groups, 500, np.random.default_rng(0))
    assert (drawn[::2] == -drawn[1::2]).all()
    np.testing.assert_allclose((drawn[::2] > 0).mean(axis=1), 0.5, atol=0.12)


def test_spans_stay_together_and_sequences_keep_one_label():
    groups, labels = np.repeat(np.arange(4), 12), np.tile([-1, 1, 1, 1, *[-1] * 8], 4)
    drawn = exchanged_labels(labels, groups, 100, np.random.default_rng(0)).reshape(4, 12, 100)
    begins = np.argmax(drawn > 0, axis=1)
    assert ((drawn > 0).sum(axis=1) == 3).all()
    assert ((np.arange(12)[None, :, None] - begins[:, None] < 3) >= (drawn > 0)).all()  # one span in every group
    np.testing.assert_allclose(np.bincount(begins.ravel(), minlength=12), [40] * 10 + [0, 0], atol=26)
    sequences = np.repeat(np.arange(16), 3)
    of_sequences = np.tile(np.repeat([1, -1, -1, -1], 3), 4)
    drawn = exchanged_labels(of_sequences, groups, 100, np.random.default_rng(0), sequences)
    assert (drawn == np.repeat(drawn[::3], 3, axis=0)).all()
    assert ((drawn > 0).reshape(4, 12, 100).sum(axis=1) == 3).all()


def test_groups_keep_their_shares_apart():
    """Nearly pure groups stay nearly pure: rows that move everywhere would not."""
    groups = np.repeat(np.arange(20), 10)
    labels = np.where(groups < 5, 1, -1)
    labels[3], labels[120] = -1, 1
    drawn = exchanged_labels(labels, groups, 200, np.random.default_rng(0)).reshape(20, 10, 200)
    shares = (drawn > 0).mean(axis=1)
    assert set(np.unique(shares.round(6))) == {0, 0.1, 0.9, 1}


def test_a_rare_class_is_never_lost():
    groups = np.repeat([0, 1, 2], [9, 2, 2])
    labels = np.where(np.arange(13) == 4, 1, -1)
    drawn = exchanged_labels(labels, groups, 300, np.random.default_rng(0))
    assert (drawn > 0).any(axis=0).all()


@pytest.mark.parametrize("design", ["pure", "nearly_pure", "spans"])
def test_the_best_of_many_neurons_of_noise_holds_its_level(design):
    rng, hits, rows_hit = np.random.default_rng(0), 0, 0
    groups = np.repeat(np.arange(30), 8)
    for _ in range(50):
        positive_groups = np.isin(groups, rng.choice(30, 8, replace=False))
        labels = np.where(positive_groups, 1, -1)
        if design == "nearly_pure":
            labels = np.where(rng.random(240) < 0.05, -labels, labels)
        if design == "spans":
            begin = np.repeat(rng.integers(0, 6, 30), 8)
            labels = np.where((np.tile(np.arange(8), 30) - begin) // 3 == 0, 1, -1)
        X = rng.standard_normal((30, 60))[groups] + 0.7 * np.repeat(rng.standard_normal((60, 60)), 4, axis=0)
        X += 0.5 * rng.standard_normal(X.shape)
        statistic = distance_from_chance(X)
        hits += max_statistic_test(statistic, labels, groups, 79, rng).p_value <= 0.05
        rows_hit += max_statistic_test(statistic, labels, np.arange(240), 79, rng).p_value <= 0.05
    assert hits <= 50 * 0.05 + 2.5 * np.sqrt(50 * 0.05 * 0.95)
    assert design == "spans" or rows_hit > 30
