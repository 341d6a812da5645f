"""Quantisation to one byte: the error is at most half a step."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from probing_datasets.foundation.errors import StoreError
from sparse_probing.activations.stores.format.quantisation import dequantise, quantise, runs_of

FLOAT32 = np.finfo(np.float32)
ORDINARY = st.floats(-1e4, 1e4, width=32)
HUGE = st.floats(-(2.0**126), 2.0**126, width=32)
TINY = st.floats(-(2**-125), 2**-125, width=32)
AROUND_A_LARGE_NUMBER = st.floats(1024, 1025, width=32)


def tables(elements):
    return arrays(np.float32, st.tuples(st.integers(1, 40), st.integers(1, 6)), elements=elements)


def decode(quantised, n_rows, block_rows):
    return dequantise(*quantised, runs_of(np.arange(n_rows), block_rows))


@settings(max_examples=100)
@given(values=st.one_of(map(tables, (ORDINARY, HUGE, TINY, AROUND_A_LARGE_NUMBER))), block_rows=st.integers(1, 41))
def test_no_value_moves_by_more_than_half_a_step(values, block_rows):
    quantised = quantise(values, block_rows)
    blocks = np.arange(len(values)) // block_rows
    moved = np.abs(decode(quantised, len(values), block_rows).astype(np.float64) - values)
    half_a_step = quantised.scale[blocks].astype(np.float64) / 2
    largest = np.maximum(np.abs(values), np.abs(quantised.offset[blocks])).astype(np.float64)
    assert (moved <= half_a_step * (1 + 1e-4) + 4 * FLOAT32.eps * largest).all()


@given(values=st.one_of(map(tables, (ORDINARY, HUGE, TINY))), block_rows=st.integers(1, 41))
def test_a_step_is_a_255th_of_the_span_of_its_block(values, block_rows):
    quantised = quantise(values, block_rows)
    for block, start in enumerate(range(0, len(values), block_rows)):
        span = np.ptp(values[start : start + block_rows].astype(np.float64), axis=0)
        assert np.allclose(quantised.scale[block], np.maximum(span / 255, FLOAT32.tiny), rtol=1e-6, atol=0)


@pytest.mark.parametrize("constant", [0.0, -0.1, 3e38, -1e-45, 1e-30])
def test_a_constant_column_is_exact(constant):
    values = np.full((7, 2), constant, np.float32)
    assert np.array_equal(decode(quantise(values, 3), 7, 3), values)


def test_smallest_and_zero_are_exact_after_an_activation_function():
    values = np.maximum(np.random.default_rng(0).standard_normal((300, 30)), 0).astype(np.float32)
    decoded = decode(quantise(values, 256), 300, 256)
    assert (decoded[values == 0] == 0).all()
    assert (values == 0).sum() > 1000


def test_an_outlier_affects_only_its_block():
    values = np.random.default_rng(0).standard_normal((512, 3)).astype(np.float32)
    values[0, 1] = 1000
    moved = np.abs(decode(quantise(values, 256), 512, 256) - values).max(0)
    in_one_block = np.abs(decode(quantise(values, 512), 512, 512) - values)
    assert moved[1] > 1
    assert moved[[0, 2]].max() < 0.02
    assert np.abs(decode(quantise(values, 256), 512, 256) - values)[256:].max() < 0.02
    assert in_one_block[256:, 1].max() > 0.2


def test_columns_beyond_one_tile():
    values = np.random.default_rng(0).standard_normal((20, 1030)).astype(np.float32)
    narrow = [quantise(values[:, columns], 8) for columns in (slice(0, 515), slice(515, 1030))]
    whole = quantise(values, 8)
    for found, expected in zip(whole, zip(*narrow, strict=True), strict=True):
        assert np.array_equal(found, np.concatenate(expected, axis=1))


def test_some_rows_and_one_column():
    values = np.random.default_rng(0).standard_normal((20, 4)).astype(np.float32)
    codes, scale, offset = quantise(values, 8)
    rows = np.array([1, 2, 9, 19])
    column = dequantise(codes[rows, 2], scale[:, 2], offset[:, 2], runs_of(rows, 8))
    assert np.array_equal(column, decode(quantise(values, 8), 20, 8)[rows, 2])


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_activations_that_are_not_finite_are_refused(wrong):
    values = np.zeros((300, 600), np.float32)
    values[270, 555] = wrong
    with pytest.raises(StoreError, match="Column 555, rows 256 to 299: .*output_precision 32"):
        quantise(values, 256)


def test_a_span_beyond_float32_is_refused():
    values = np.array([[3e38], [-3e38]], np.float32)
    with pytest.raises(StoreError, match=r"values from -3e\+38 to 3e\+38 cannot be quantised"):
        quantise(values, 2)
    assert quantise(values, 1).codes.tolist() == [[0], [0]]
