"""A synthetic layer: correlated activations with planted features."""

from __future__ import annotations

import numpy as np
from scipy.special import erf

N_FACTORS = 64
PLANTED_NEURONS = (1, 4, 16, 64)
"""Numbers of neurons that encode a feature; the features cycle through them."""


def planted_layer(n: int, width: int, n_features: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return GELU activations (n, width), float16 in Fortran order, and labels (n_features, n), int8 -1/+1.

    Pre-activations are a few factors of falling variance, whose scale varies from row to row,
    plus noise: neurons are correlated and heavy-tailed. A feature shifts a few neurons, less the
    more there are, and has 10 to 20 % positives.
    """
    rng = np.random.default_rng(seed)
    hidden = _correlated(rng, n, width)
    labels = np.where(rng.random((n_features, n)) < rng.uniform(0.1, 0.2, (n_features, 1)), 1, -1).astype(np.int8)
    for feature, y in enumerate(labels):
        n_planted = min(PLANTED_NEURONS[feature % len(PLANTED_NEURONS)], width)
        neurons = rng.choice(width, n_planted, replace=False)
        shift = rng.choice([-1, 1], n_planted) * rng.uniform(1, 3, n_planted) / np.sqrt(n_planted)
        hidden[np.ix_(y > 0, neurons)] += shift
    return np.asfortranarray(_gelu(hidden + rng.uniform(-1.8, -0.2, width)).astype(np.float16)), labels


def _correlated(rng: np.random.Generator, n: int, width: int) -> np.ndarray:
    """Return (n, width) correlated pre-activations of unit variance."""
    factors = rng.standard_normal((n, N_FACTORS)) * np.arange(1, N_FACTORS + 1) ** -0.9
    factors *= np.sqrt(rng.gamma(2, 0.5, (n, 1)))
    shared = factors @ rng.standard_normal((N_FACTORS, width))
    return 0.9 * shared / shared.std(0) + np.sqrt(1 - 0.9**2) * rng.standard_normal((n, width))


def _gelu(x: np.ndarray) -> np.ndarray:
    return x * (1 + erf(x / np.sqrt(2))) / 2
