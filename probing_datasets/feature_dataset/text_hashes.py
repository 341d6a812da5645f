"""Hashes of texts, by which the texts of two sources are compared without holding them."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import ArrayLike

from probing_datasets.feature_dataset.dataset import FeatureDataset

SEQUENCES_AT_ONCE = 4096


def token_hash(tokens: ArrayLike) -> bytes:
    """Return a hash of the token ids of one sequence."""
    return hashlib.sha256(np.asarray(tokens, np.int32).tobytes()).digest()


def text_hashes(dataset: FeatureDataset) -> list[bytes]:
    """Return a hash of the tokens of every sequence, special ones included."""
    hashes: list[bytes] = []
    for first in range(0, len(dataset.lengths), SEQUENCES_AT_ONCE):
        last = min(first + SEQUENCES_AT_ONCE, len(dataset.lengths))
        hashes += map(token_hash, dataset.tokens(np.arange(first, last)))
    return hashes
