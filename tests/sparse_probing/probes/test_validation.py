import numpy as np
import pytest
from sklearn.utils.class_weight import compute_sample_weight

from probing_datasets.foundation.errors import ProbeError
from sparse_probing.probes.validation import (
    check_activations,
    check_classes,
    check_targets,
    class_weights,
    column_blocks,
    row_weights,
    tiles,
    widened,
)


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


X = np.arange(12.0).reshape(6, 2)


def test_targets_become_float64():
    activations, targets = check_targets(X.astype(np.float16), [1, 2, 3, 4, 5, 6])
    assert activations.dtype == np.float16
    assert targets.dtype == np.float64


@pytest.mark.parametrize(
    ("y", "match"),
    [
        ([1.0, 2.0], r"6 rows but targets of shape \(2,\)"),
        ([1.0, 2.0, 3.0, 4.0, 5.0, np.nan], "finite real numbers"),
        (["a", "b", "c", "d", "e", "f"], "finite real numbers"),
        ([2.0] * 6, r"All 6 targets are 2\.0"),
    ],
)
def test_bad_targets(y, match):
    with pytest.raises(ProbeError, match=match):
        check_targets(X, y)


def test_classes_are_sorted_and_coded():
    _, classes, codes = check_classes(X, ["b", "a", "c", "a", "b", "b"])
    assert classes.tolist() == ["a", "b", "c"]
    assert codes.tolist() == [1, 0, 2, 0, 1, 1]


@pytest.mark.parametrize(
    ("y", "match"),
    [
        (["a"] * 6, "All 6 rows are of class a"),
        ([1.0, 2.0, np.nan, 1.0, 2.0, 1.0], "Some classes are NaN"),
        ([1, 2], r"targets of shape \(2,\)"),
    ],
)
def test_bad_classes(y, match):
    with pytest.raises(ProbeError, match=match):
        check_classes(X, y)


def test_weights_equal_scikit_learn():
    codes = np.array([0, 1, 2, 2, 2, 1])
    assert class_weights(codes, "balanced") == pytest.approx(compute_sample_weight("balanced", codes))
    assert class_weights(codes, "none").tolist() == [1] * 6
