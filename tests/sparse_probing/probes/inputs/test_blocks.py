"""Tiles and blocks of columns: they cover a layer of any dtype and memory order, as copies."""

import numpy as np
import pytest

from sparse_probing.probes.inputs.blocks import column_blocks, tiles
from tests.builders.layers import memory_layouts


@pytest.mark.parametrize("X", list(memory_layouts()))
def test_tiles_cover_the_layer(X):
    X.flags.writeable = False
    copy = np.full(X.shape, np.nan)
    for rows, columns, tile in tiles(X):
        assert np.isnan(copy[rows, columns]).all()
        copy[rows, columns] = tile
    assert np.array_equal(copy, X)


@pytest.mark.parametrize("X", list(memory_layouts()))
def test_column_blocks_contain_the_requested_rows(X):
    X.flags.writeable = False
    for rows in (None, np.array([7, 3, 41])):
        blocks = [block for _, block in column_blocks(X, rows)]
        assert all(block.flags.c_contiguous and block.dtype == np.float64 for block in blocks)
        assert np.array_equal(np.concatenate(blocks), (X if rows is None else X[rows]).T)


@pytest.mark.parametrize("order", ["C", "F"])
def test_blocks_and_tiles_are_copies(order):
    X = np.ones((2, 3), order=order)
    for _, block in column_blocks(X):
        block[:] = 0
    for _, _, tile in tiles(X):
        tile[:] = 0
    assert (X == 1).all()
