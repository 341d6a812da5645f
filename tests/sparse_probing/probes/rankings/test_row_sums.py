"""Sums over sets of rows: independence of the rows of a product, brute force, distinct sets."""

import numpy as np
import pytest

from sparse_probing.probes.inputs.validation import LabelledRows
from sparse_probing.probes.rankings.row_sums import product, sets_of_rows, sums_over_sets


def layer(n=2500, d=130, seed=0):
    return (np.random.default_rng(seed).standard_normal((n, d)) * 3 + 50).astype(np.float16)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rows_of_a_product_do_not_depend_on_each_other(dtype):
    rng = np.random.default_rng(0)
    left, right = rng.standard_normal((19, 300)).astype(dtype), rng.standard_normal((300, 77)).astype(dtype)
    whole = product(left, right)
    assert whole.dtype == dtype
    assert whole == pytest.approx(left.astype(float) @ right, abs=1e-4 if dtype == np.float32 else 1e-12)
    assert np.array_equal(product(left[::-1], right)[::-1], whole)
    for i in range(19):
        assert np.array_equal(product(left[i : i + 1], right)[0], whole[i])


def test_sums_equal_brute_force():
    X = layer()
    sets = np.random.default_rng(1).random((11, len(X))) < 0.3
    sums, squares, centre = sums_over_sets(X, sets, n_squared=3)
    centred = X.astype(np.float64) - centre
    assert sums == pytest.approx(np.array([centred[rows].sum(axis=0) for rows in sets]), abs=1e-8)
    assert squares == pytest.approx(np.array([(centred[rows] ** 2).sum(axis=0) for rows in sets[:3]]), rel=1e-12)
    assert sums_over_sets(X, sets)[1].shape == (0, X.shape[1])


def test_distinct_sets():
    X = layer()
    rows = [np.arange(0, 2500, 2), np.arange(100), np.arange(0, 2500, 2)]
    members, set_of_feature = sets_of_rows([LabelledRows(row, np.ones(len(row))) for row in rows], len(X))
    assert members.shape == (2, len(X))
    assert members.dtype == np.bool_
    assert set_of_feature.tolist() == [0, 1, 0]
    for i, row in zip(set_of_feature, rows, strict=True):
        assert np.array_equal(np.flatnonzero(members[i]), row)
