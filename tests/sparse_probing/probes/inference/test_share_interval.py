"""The interval of an accuracy: statsmodels-free references, coverage with dependent rows, and errors."""

import numpy as np
import pytest
from scipy.stats import binomtest

from probing_datasets.foundation.errors import ProbeError
from sparse_probing.probes.inference.share_interval import accuracy_interval


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


def test_refuses():
    with pytest.raises(ProbeError, match="1 group"):
        accuracy_interval([True, False], [3, 3])
    with pytest.raises(ProbeError, match="one length"):
        accuracy_interval([True], [1, 2])
