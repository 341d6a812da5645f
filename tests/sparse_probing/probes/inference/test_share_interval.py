"""The interval of an accuracy: statsmodels-free references, coverage with dependent rows, and errors."""

import numpy as np
import pytest
from scipy.stats import binomtest

from probing_datasets.foundation.errors import ProbeError
from sparse_probing.probes.inference.share_interval import accuracy_interval, counted_share, group_counts


def test_with_many_independent_rows_it_is_wilsons():
    hits = np.arange(4000) % 4 > 0
    low, high = accuracy_interval(hits, np.arange(4000))
    expected = binomtest(3000, 4000).proportion_ci(method="wilson")
    assert (low, high) == pytest.approx((expected.low, expected.high), abs=2e-4)


def test_copies_of_a_row_add_nothing():
    hits = np.random.default_rng(0).random(100) < 0.7
    once = accuracy_interval(hits, np.arange(100))
    copied = accuracy_interval(np.repeat(hits, 5), np.repeat(np.arange(100), 5))
    assert copied == pytest.approx(once, abs=0.005)


def test_it_covers_the_truth():
    rng, covered = np.random.default_rng(0), 0
    for _ in range(300):
        of_group = rng.beta(7, 3, 60)
        hits = rng.random((60, 4)) < of_group[:, None]
        low, high = accuracy_interval(hits.ravel(), np.repeat(np.arange(60), 4))
        covered += low <= 0.7 <= high
    assert 0.92 <= covered / 300 <= 0.98


def test_parts_are_counted_together_and_their_interval_is_narrower_than_those_of_the_parts():
    rng = np.random.default_rng(0)
    hits, groups = rng.random(400) < 0.8, rng.integers(0, 90, 400)
    part = groups % 3
    counts = [group_counts(hits[part == i], groups[part == i]) for i in range(3)]
    share, low, high = counted_share(counts)
    assert share == hits.mean()
    assert (low, high) == pytest.approx(accuracy_interval(hits, groups), rel=1e-12)
    widths = [np.diff(accuracy_interval(hits[part == i], groups[part == i]))[0] for i in range(3)]
    assert high - low < 0.7 * min(widths)


def test_refuses():
    with pytest.raises(ProbeError, match="1 group"):
        accuracy_interval([True, False], [3, 3])
    with pytest.raises(ProbeError, match="one length"):
        accuracy_interval([True], [1, 2])
