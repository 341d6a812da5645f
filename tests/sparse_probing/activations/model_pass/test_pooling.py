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


@given(batches(), st.sampled_from([np.inf, -np.inf, np.nan]))
def test_a_valid_activation_that_is_not_finite_reaches_its_sequence_and_neuron_only(batch, value):
    activations, valid = batch
    position = int(valid[0].nonzero()[0][0])
    spoiled = np.where(valid[..., None], activations, np.float32(np.nan))  # the padding is not finite either
    spoiled[0, position, 0] = value
    for pooling in ("mean", "max"):
        pooled = pool_arrays(spoiled, valid, pooling)
        expected = pool_arrays(activations, valid, pooling)
        if not (pooling == "max" and value == -np.inf):
            np.testing.assert_array_equal(pooled[0, 0], np.float32(value))
        pooled[0, 0] = expected[0, 0] = 0
        np.testing.assert_allclose(pooled, expected, rtol=1e-5, atol=1e-5)


@given(batches(), st.sampled_from(POOLINGS))
def test_padding_on_either_side_gives_the_same(batch, pooling):
    activations, valid = batch
    lengths = valid.sum(1)
    left, right = np.full_like(activations, 7), np.full_like(activations, 7)
    for target, row, mask, n in zip(left, activations, valid, lengths, strict=True):
        target[-n:] = row[mask]
    for target, row, mask, n in zip(right, activations, valid, lengths, strict=True):
        target[:n] = row[mask]
    columns = np.arange(valid.shape[1])
    on_the_left = pool_arrays(left, columns >= valid.shape[1] - lengths[:, None], pooling)
    on_the_right = pool_arrays(right, columns < lengths[:, None], pooling)
    np.testing.assert_allclose(on_the_left, on_the_right, rtol=1e-5, atol=1e-5)
    if valid.shape[1] == 1:
        np.testing.assert_array_equal(on_the_right, activations[:, 0])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_summed_in_float32(dtype):
    n, total = 1003, 1 + 1002 * 2.0**-12
    activations = torch.full((2, n, 3), 2.0**-12, dtype=dtype)
    activations[:, 0] = 1
    mean = pool(activations, torch.ones(2, n, dtype=torch.bool), "mean")
    torch.testing.assert_close(mean, torch.full((2, 3), total / n), rtol=1e-6, atol=0)
    in_half_precision = activations.sum(1).double() / total  # control
    assert ((in_half_precision - 1).abs() > 1e-4).all()


def test_half_precision_means_do_not_overflow():
    activations = torch.full((1, 100, 1), 60_000, dtype=torch.float16)
    mean = pool(activations, torch.ones(1, 100, dtype=torch.bool), "mean")
    assert mean.dtype == torch.float32
    assert mean.item() == pytest.approx(60_000, rel=1e-3)


def test_shared_weights_change_nothing_and_padding_that_is_nan_is_left_out():
    activations = torch.randn(3, 7, 5, generator=torch.Generator().manual_seed(0))
    valid = torch.arange(7) < torch.tensor([[7], [3], [1]])
    activations[1, 3:], activations[2, 1:] = torch.nan, torch.inf
    shared = pool(activations, valid, "mean", valid[:, None].float())
    torch.testing.assert_close(shared, pool(activations, valid, "mean"), rtol=0, atol=0)
    expected = torch.stack([row[own].mean(0) for row, own in zip(activations, valid, strict=True)])
    torch.testing.assert_close(shared, expected)
