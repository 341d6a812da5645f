import numpy as np
import pytest

from experiments.probes.inputs import check_activations, column_blocks, row_weights, tiles, widened
from probing_datasets.foundation.errors import ProbeError


def layers(n=2500, d=150):
    X = np.random.default_rng(0).standard_normal((n, d))
    for dtype in (np.float16, np.float32, np.float64):
        yield X.astype(dtype)
        yield np.asfortranarray(X.astype(dtype))
    yield X.astype(np.float16)[::2, ::3]
    yield X.astype(np.float16).T
    yield (X * 10).astype(np.int32)


@pytest.mark.parametrize("X", list(layers()))
def test_tiles_cover_the_layer(X):
    X.flags.writeable = False
    copy = np.full(X.shape, np.nan)
    for rows, columns, tile in tiles(X):
        assert np.isnan(copy[rows, columns]).all()
        copy[rows, columns] = tile
    assert np.array_equal(copy, X)


@pytest.mark.parametrize("X", list(layers()))
def test_column_blocks_hold_the_rows_that_are_asked_for(X):
    X.flags.writeable = False
    for rows in (None, np.array([7, 3, 41])):
        blocks = [block for _, block in column_blocks(X, rows)]
        assert all(block.flags.c_contiguous and block.dtype == np.float64 for block in blocks)
        assert np.array_equal(np.concatenate(blocks), (X if rows is None else X[rows]).T)


def test_widening_copies():
    X = np.ones((2, 3))
    wide = widened(X)
    wide[:] = 0
    assert (X == 1).all()


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [(0, 0), (41, 130)])
def test_the_place_of_a_value_that_is_not_finite_is_named(dtype, value, place):
    X = np.zeros((50, 140), dtype)
    X[0, 1] = -np.finfo(dtype).max
    assert check_activations(X) is X
    X[place] = value
    with pytest.raises(ProbeError, match=f"Row {place[0]}, column {place[1]} is {value}"):
        check_activations(X)


def test_balanced_weights_give_both_classes_the_same_total():
    y, own = np.array([1.0, -1, -1, -1]), np.array([2.0, 1, 1, 4])
    assert row_weights(y, 3.0, "balanced").tolist() == [6, 2, 2, 2]
    weights = row_weights(y, 3.0, "balanced", own)
    assert weights[0] == pytest.approx(weights[1:].sum())
    assert weights.sum() == pytest.approx(3 * own.sum())
    assert row_weights(y, 3.0, "none", own) == pytest.approx(3 * own)
