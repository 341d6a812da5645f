"""The codes of values equal the bins of NumPy, also beside the edges."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from sparse_probing.activations.statistics.bins import Bins

floats = st.floats(-100, 100, width=32)
values = npst.arrays(np.float32, st.integers(1, 50), elements=floats)


def counts(bins, values):
    return torch.bincount(bins.codes(torch.from_numpy(values)[:, None])[:, 0], minlength=bins.n_codes).numpy()


def one_neuron(n_bin, low, high):
    return Bins.between(n_bin, [low], [high])


def awkward(bins):
    """Every edge, and the numbers next to it."""
    edges = bins.edges[0]
    neighbours = [np.nextafter(edges, np.float32(sign * np.inf)) for sign in (-1, 1)]
    return np.concatenate([edges, *neighbours, np.float32([0, -0.0, 1e30, -1e30])])


@pytest.mark.parametrize(
    ("n_bin", "low", "high"),
    [(100, -1.0, 8.0), (7, 0.0, 1.0), (1000, -50.0, 3.0), (3, 99.9, 100.1), (1, 0.0, 1e-3), (90, -1.0, 8.0)],
)
def test_counts_are_those_of_numpy_at_and_beside_every_edge(n_bin, low, high):
    bins = one_neuron(n_bin, low, high)
    x = np.concatenate([awkward(bins), np.random.default_rng(0).uniform(low - 1, high + 1, 10_000).astype(np.float32)])
    expected, edges = np.histogram(x, n_bin, (low, high))
    found = counts(bins, x)
    assert np.array_equal(edges.astype(np.float32), bins.edges[0])
    assert np.array_equal(found[1:-1], expected)
    assert (found[0], found[-1]) == ((x < edges[0]).sum(), (x > edges[-1]).sum())


@given(values, floats, st.floats(0.01, 50), st.integers(1, 200))
def test_counts_are_those_of_numpy_for_any_values_and_range(x, low, width, n_bin):
    bins = one_neuron(n_bin, low, low + width)
    found = counts(bins, x)
    assert np.array_equal(found[1:-1], np.histogram(x, n_bin, (low, low + width))[0])
    assert found.sum() == len(x)


def test_control_arithmetic_without_lookup_errs_at_edges():
    bins = one_neuron(100, -1.0, 8.0)
    x = awkward(bins)
    naive = np.floor((x + 1) * np.float32(100 / 9)).clip(-1, 100).astype(int) + 1
    assert (naive != bins.codes(torch.from_numpy(x)[:, None])[:, 0].numpy()).any()


@given(st.integers(0, 99), st.integers(1, 60))
def test_every_neuron_has_its_own_bins(seed, n_bin):
    rng = np.random.default_rng(seed)
    scale = np.float32(10.0) ** rng.integers(-4, 5, 6).astype(np.float32)
    x = (rng.standard_normal((50, 6)) * scale + rng.standard_normal(6)).astype(np.float32)
    low, high = x[:10].min(0), x[:10].max(0)
    bins = Bins.between(n_bin, low, high)
    codes = bins.codes(torch.from_numpy(x)).numpy()
    for neuron in range(6):
        column = x[:, neuron]
        expected, edges = np.histogram(column, n_bin, (float(low[neuron]), float(high[neuron])))
        assert np.array_equal(edges.astype(np.float32), bins.edges[neuron])
        assert np.array_equal(np.bincount(codes[:, neuron], minlength=n_bin + 2)[1:-1], expected)
    part = bins.columns(slice(2, 5))
    assert np.array_equal(part.codes(torch.from_numpy(x[:, 2:5])).numpy(), codes[:, 2:5])
    assert bins.columns(slice(2, 5)) is part
