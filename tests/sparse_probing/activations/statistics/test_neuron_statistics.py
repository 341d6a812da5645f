"""Streaming statistics of neurons equal those of NumPy, whatever the pieces."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import sparse_probing.activations.statistics.neuron_statistics as module
from probing_datasets.foundation.errors import ActivationError
from sparse_probing.activations.statistics.bins import Bins
from sparse_probing.activations.statistics.neuron_statistics import NeuronStatistics

N_BIN, LOW, HIGH = 20, -1.0, 2.0


def bins_of(width):
    return Bins.between(N_BIN, [LOW] * width, [HIGH] * width)


def seen(pieces, n_bin=N_BIN, low=LOW, high=HIGH):
    width = pieces[0].shape[1]
    bins = Bins.between(n_bin, [low] * width, [high] * width)
    statistics = NeuronStatistics.empty(width, bins)
    for piece in pieces:
        statistics.update(torch.from_numpy(piece), torch.arange(len(piece)), bins)
    return statistics


def activations(n, d, seed=0, mean=0.0, scale=1.0):
    x = mean + scale * np.random.default_rng(seed).standard_normal((n, d))
    return np.where(x < mean - scale, 0, x).astype(np.float32)


def check(statistics, x, n_bin=N_BIN, low=LOW, high=HIGH, rtol=1e-7):
    wide = x.astype(np.float64)
    counts = np.array([np.histogram(column, n_bin, (low, high))[0] for column in x.T])
    assert int(statistics.n) == len(x)
    np.testing.assert_allclose(statistics.mean, wide.mean(0), rtol=rtol, atol=1e-7 * np.abs(x).max())
    np.testing.assert_allclose(statistics.square / len(x), wide.var(0), rtol=1e-5, atol=1e-14)
    assert np.array_equal(statistics.minimum, x.min(0))
    assert np.array_equal(statistics.maximum, x.max(0))
    assert np.array_equal(statistics.nonzero, (x != 0).sum(0))
    assert np.array_equal(statistics.positive, (x > 0).sum(0))
    assert np.array_equal(statistics.counts[:, 1:-1], counts)
    assert np.array_equal(statistics.counts[:, 0], (x < low).sum(0))
    assert np.array_equal(statistics.counts[:, -1], (x > high).sum(0))


@pytest.fixture
def small_tiles(monkeypatch):
    monkeypatch.setattr(module, "TILE_ROWS", 7)
    monkeypatch.setattr(module, "TILE_COLUMNS", 3)


@settings(max_examples=30)
@given(st.lists(st.integers(0, 30), min_size=1, max_size=4), st.integers(1, 8), st.integers(0, 99))
def test_streaming_equals_the_whole(sizes, d, seed):
    x = activations(sum(sizes) + 1, d, seed)
    check(seen(np.split(x, np.cumsum(sizes))), x, rtol=1e-6)


def test_tiles_change_nothing(small_tiles):
    x = activations(100, 10)
    check(seen([x[:33], x[33:]]), x, rtol=1e-6)


@pytest.mark.parametrize(("mean", "scale"), [(100.0, 0.01), (-3.0, 1e-3), (0.0, 1e4)])
def test_mean_and_variance_of_awkward_scales(mean, scale):
    x = activations(5000, 4, mean=mean, scale=scale)
    check(seen([x[:1], x[1:1030], x[1030:]], 5, -1, 1), x, 5, -1, 1)


def test_control_a_sum_of_squares_in_float32_is_wrong_there():
    x = activations(5000, 4, mean=100.0, scale=0.01)
    x[x == 0] = 100
    naive = (x**2).mean(0, dtype=np.float32) - x.mean(0, dtype=np.float32) ** 2
    assert (np.abs(naive / x.astype(np.float64).var(0) - 1) > 0.01).any()


def test_merging_equals_seeing_all_and_nothing_may_be_merged():
    x = activations(300, 6)
    statistics = seen([x[:100]])
    for piece in (x[100:101], x[101:], x[:0]):
        statistics.merge(seen([piece]))
    check(statistics, x, rtol=1e-6)
    fresh = NeuronStatistics.empty(6, bins_of(6))
    fresh.merge(statistics)
    check(fresh, x, rtol=1e-6)


def test_only_the_given_rows_count_and_their_extremes_are_returned():
    x = activations(50, 5)
    rows = np.array([3, 4, 20])
    statistics = NeuronStatistics.empty(5, bins_of(5))
    lowest, highest = statistics.update(torch.from_numpy(x), torch.from_numpy(rows), bins_of(5))
    check(statistics, x[rows], rtol=1e-6)
    assert np.array_equal(lowest, x[rows].min(0))
    assert np.array_equal(highest, x[rows].max(0))
    lowest, highest = statistics.update(torch.from_numpy(x), torch.arange(0), bins_of(5))
    assert (lowest == torch.inf).all()
    assert (highest == -torch.inf).all()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_counts_as_the_float32_numbers_it_holds(dtype):
    x = torch.from_numpy(activations(64, 5)).to(dtype)
    statistics = NeuronStatistics.empty(5, bins_of(5))
    statistics.update(x, torch.arange(64), bins_of(5))
    check(statistics, x.float().numpy(), rtol=1e-6)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_activations_that_are_not_finite_are_refused(bad):
    x = activations(20, 3)
    x[7, 1] = bad
    with pytest.raises(ActivationError, match=r"NaN or infinite.*--dtype float32"):
        seen([x])
    rest = torch.arange(8, 20)
    NeuronStatistics.empty(3, bins_of(3)).update(torch.from_numpy(x), rest, bins_of(3))
