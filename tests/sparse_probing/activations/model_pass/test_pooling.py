"""Pooling over tokens equals a loop over sequences."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sparse_probing.activations.model_pass.pooling import pool

POOLINGS = ("mean", "max", "last")


@st.composite
def batches(draw):
    """Activations (batch, length, width) and at least one valid position in each row."""
    batch, length, width = (draw(st.integers(1, n)) for n in (4, 7, 5))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    valid = rng.random((batch, length)) < draw(st.floats(0.1, 1))
    valid[np.arange(batch), rng.integers(length, size=batch)] = True
    return rng.normal(-1, 3, (batch, length, width)).astype(np.float32), valid


def pool_by_loop(activations, valid, pooling):
    chosen = [[vector for vector, ok in zip(*rows, strict=True) if ok] for rows in zip(activations, valid, strict=True)]
    if pooling == "mean":
        return np.array([np.mean(np.array(vectors, np.float64), axis=0) for vectors in chosen])
    if pooling == "max":
        return np.array([np.max(vectors, axis=0) for vectors in chosen])
    return np.array([vectors[-1] for vectors in chosen])


def pool_arrays(activations, valid, pooling):
    return pool(torch.from_numpy(activations), torch.from_numpy(valid), pooling).numpy()


@given(batches(), st.sampled_from(POOLINGS))
def test_equals_a_loop(batch, pooling):
    activations, valid = batch
    np.testing.assert_allclose(
        pool_arrays(activations, valid, pooling), pool_by_loop(activations, valid, pooling), rtol=1e-5, atol=1e-5
    )


@given(batches(), st.sampled_from(POOLINGS), st.sampled_from([0, 1e30, -1e30, np.inf, np.nan]))
def test_invalid_positions_have_no_effect(batch, pooling, garbage):
    activations, valid = batch
    spoiled = np.where(valid[..., None], activations, np.float32(garbage))
    assert np.array_equal(pool_arrays(spoiled, valid, pooling), pool_arrays(activations, valid, pooling))


def test_control_one_more_valid_position_matters():
    activations = np.array([[[1.0], [2.0], [9.0]]], np.float32)
    padded, full = np.array([[True, True, False]]), np.array([[True, True, True]])
    assert [pool_arrays(activations, padded, p).item() for p in POOLINGS] == [1.5, 2, 2]
    assert [pool_arrays(activations, full, p).item() for p in POOLINGS] == [4, 9, 9]


def test_half_precision_means_do_not_overflow():
    activations = torch.full((1, 100, 1), 60_000, dtype=torch.float16)
    mean = pool(activations, torch.ones(1, 100, dtype=torch.bool), "mean")
    assert mean.dtype == torch.float32
    assert mean.item() == pytest.approx(60_000, rel=1e-3)
