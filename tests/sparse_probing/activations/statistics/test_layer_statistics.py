"""Statistics of a layer: updates, merging, and their tensors."""

import numpy as np
import pytest
import torch

from probing_datasets.foundation.errors import StoreError
from sparse_probing.activations.statistics.bins import Bins
from sparse_probing.activations.statistics.layer_statistics import LayerStatistics
from sparse_probing.activations.statistics.token_classes import CountedTokens

BINS = Bins.between(10, [-1.0, -2.0, -0.5], [1.0, 2.0, 0.5])


def counted(seed):
    """Six of eight positions, two of which belong to the second of two classes."""
    activation = torch.from_numpy(np.random.default_rng(seed).standard_normal((2, 4, 3)).astype(np.float32))
    row = torch.tensor([1, 2, 3, 5, 6, 7])
    tokens = CountedTokens(row, row + 8 * seed, [torch.arange(0), torch.tensor([0, 5])])
    statistics = LayerStatistics.empty(3, BINS, 2, 2)
    statistics.update(activation, tokens)
    return statistics, activation.flatten(0, 1).numpy()


def test_all_tokens_each_class_and_both_ends():
    statistics, x = counted(0)
    rows = [1, 2, 3, 5, 6, 7]
    np.testing.assert_allclose(statistics.all_tokens.mean, x[rows].mean(0), rtol=1e-5)
    assert int(statistics.by_class[0].n) == 0
    np.testing.assert_allclose(statistics.by_class[1].mean, x[[1, 7]].mean(0), rtol=1e-5)
    for examples, sign in ((statistics.largest, -1), (statistics.smallest, 1)):
        value, token, _ = examples.examples()
        assert np.array_equal(value, sign * np.sort(sign * x[rows], axis=0)[:2].T)
        assert np.array_equal(x[token[:, 0], np.arange(3)], value[:, 0])


def test_tensors_hold_everything():
    statistics, _ = counted(0)
    again = LayerStatistics.from_tensors(statistics.tensors())
    assert statistics.tensors().keys() == again.tensors().keys()
    assert all(torch.equal(t, again.tensors()[name]) for name, t in statistics.tensors().items())


def test_merging_counts_both():
    (one, x), (other, y) = counted(0), counted(1)
    one.merge(other)
    both = np.concatenate([x[[1, 2, 3, 5, 6, 7]], y[[1, 2, 3, 5, 6, 7]]])
    np.testing.assert_allclose(one.all_tokens.mean, both.mean(0), rtol=1e-5)
    assert int(one.by_class[1].n) == 4
    assert np.array_equal(one.largest.examples().value, -np.sort(-both, axis=0)[:2].T)
    assert np.array_equal(one.smallest.examples().value, np.sort(both, axis=0)[:2].T)
    assert np.array_equal(one.all_tokens.positive, (both > 0).sum(0))


def test_counts_in_different_bins_are_not_merged():
    one, _ = counted(0)
    other = LayerStatistics.empty(3, Bins.between(10, [-1.0] * 3, [1.0] * 3), 2, 2)
    with pytest.raises(StoreError, match="have counted in different bins"):
        one.merge(other)
