"""Bases: shapes and seeds, orthogonality, uniform directions, memory, errors."""

import tracemalloc

import numpy as np
import pytest
from scipy.stats import kstest, kurtosis

from probing_datasets.foundation.errors import ProbeError
from sparse_probing.probes.bases import BASES, random_orthogonal


def layer(dtype=np.float32, n=2500, d=64):
    return np.random.default_rng(0).standard_normal((n, d)).astype(dtype)


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
@pytest.mark.parametrize("name", BASES)
def test_shape_and_seed(name, dtype):
    X = layer(dtype)
    first, again, other = (BASES[name](X, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert first.shape == X.shape
    assert np.array_equal(first, again)
    if name == "neurons":
        assert first is X
    else:
        assert first.dtype == np.float32
        assert not np.allclose(first, other)


def test_a_rotation_preserves_inner_products_and_a_projection_does_not():
    X = layer()
    gram = X.astype(np.float64) @ X.T

    def distortion(name):
        rotated = BASES[name](X, np.random.default_rng(0)).astype(np.float64)
        return np.abs(rotated @ rotated.T - gram).max() / np.abs(gram).max()

    assert distortion("rotation") < 1e-5
    assert distortion("projection") > 0.1


def test_projected_lengths_are_right_on_average():
    rotated = BASES["projection"](layer(), np.random.default_rng(0))
    assert (rotated**2).sum() / (layer() ** 2).sum() == pytest.approx(1, abs=0.05)


def test_a_neuron_is_spread_over_all_directions():
    X = layer()
    X[:, 3] **= 3
    X[:, 3] /= X[:, 3].std()
    rotated = BASES["rotation"](X, np.random.default_rng(0))
    assert kurtosis(X, axis=0).max() > 10
    assert kurtosis(rotated, axis=0).max() < 3


def test_orthogonal_matrices_are_uniform():
    matrices = np.stack([random_orthogonal(3, np.random.default_rng(seed)) for seed in range(3000)])
    assert np.allclose(matrices @ matrices.transpose(0, 2, 1), np.eye(3), atol=1e-5)
    # A coordinate of a uniform direction of the sphere in 3 dimensions is uniform (Archimedes).
    for entry in matrices.reshape(-1, 9).T:
        assert kstest(entry, "uniform", args=(-1, 2)).pvalue > 1e-4
    assert abs(np.linalg.det(matrices).mean()) < 0.1


def test_control_without_the_sign_fix_entries_are_not_uniform():
    rng = np.random.default_rng(0)
    unfixed = np.array([np.linalg.qr(rng.standard_normal((3, 3)))[0][0, 0] for _ in range(3000)])
    assert kstest(unfixed, "uniform", args=(-1, 2)).pvalue < 1e-4


def test_no_second_copy_of_the_layer():
    X = layer(np.float16, n=40_000)
    tracemalloc.start()
    rotated = BASES["rotation"](X, np.random.default_rng(0))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1.2 * rotated.nbytes


def test_error():
    with pytest.raises(ProbeError, match="non-empty"):
        BASES["rotation"](np.zeros(3), np.random.default_rng(0))
