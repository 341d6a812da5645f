"""Find texts that nearly repeat in another group, so that held-out scores can mislead.

A split keeps groups whole, but two groups may hold almost the same text: then a probe that remembers the training
text recognises the test text, and where the two have opposite labels its score falls below chance.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from probing_datasets.feature_dataset.dataset import FeatureDataset

logger = logging.getLogger(__name__)

SHINGLE = 3
"""Tokens of an n-gram. One changed word changes three of them."""
SIMILARITY = 0.5
"""Share of common n-grams (Jaccard) from which two texts nearly repeat each other."""
WORTH_A_WARNING = 0.01
"""Share of the sequences."""
N_BANDS, N_HASHES = 24, 48
TOKENS_AT_ONCE = 2**20


@dataclass(frozen=True)
class NearDuplicates:
    """Sequences that nearly repeat a sequence of another group."""

    sequences: NDArray[np.int64]
    """(m,) increasing."""
    partners: NDArray[np.int64]
    """(m,) such a sequence of another group for each."""


def near_duplicates(tokens: NDArray, lengths: NDArray, groups: NDArray) -> NearDuplicates:
    """Find sequences that share half of their 3-grams of tokens with a sequence of another group.

    The time is linear in the number of tokens.

    Parameters
    ----------
    tokens : (n_tokens,) array of int
        The sequences, one after another.
    lengths : (n,) array of int
        Tokens of each sequence; at least 1.
    groups : (n,) array
        The group of each sequence.

    References
    ----------
    Broder, On the Resemblance and Containment of Documents (1997), for n-grams and minima of hashes; Leskovec,
    Rajaraman and Ullman, Mining of Massive Datasets, section 3.4, for bands.
    """
    lengths = np.asarray(lengths, dtype=np.int64)
    groups = np.unique(groups, return_inverse=True)[1]
    signatures = _signatures(np.asarray(tokens, dtype=np.uint64), lengths)
    found = np.full(len(lengths), -1)
    for band in np.split(signatures, N_BANDS, axis=1):
        bucket = np.unique(band, axis=0, return_inverse=True)[1].ravel()
        order = np.lexsort((groups, bucket))
        starts = np.flatnonzero(np.diff(bucket[order], prepend=-1))
        ends = np.append(starts[1:], len(order)) - 1
        # A bucket is in the order of groups: one of its two ends is of another group, if any member is.
        first, last = order[starts][bucket], order[ends][bucket]
        partner = np.where(groups[first] != groups, first, last)
        unknown = (found < 0) & (groups[partner] != groups)
        rows = np.flatnonzero(unknown)
        similar = (signatures[rows] == signatures[partner[rows]]).mean(axis=1) >= SIMILARITY
        found[rows[similar]] = partner[rows[similar]]
    sequences = np.flatnonzero(found >= 0)
    return NearDuplicates(sequences, found[sequences])


def warn_of_near_duplicates(dataset: FeatureDataset) -> str | None:
    """Log and return a warning where 1 % of the sequences, or more, nearly repeat a sequence of another group.

    What all sequences begin or end with, such as a chat template, says nothing about which of them are alike.
    """
    column = dataset.sequences.data.column("tokens").combine_chunks()
    tokens, lengths = column.flatten().to_numpy(zero_copy_only=False), dataset.lengths
    starts = np.cumsum(lengths) - lengths
    at_start, at_end = _shared_ends(tokens, starts, lengths)
    place = np.arange(len(tokens)) - np.repeat(starts, lengths)
    differs = (place >= at_start) & (place < np.repeat(lengths - at_end, lengths))
    result = near_duplicates(tokens[differs], lengths - at_start - at_end, dataset.group_codes)
    if len(result.sequences) < max(1, WORTH_A_WARNING * len(dataset.lengths)):
        return None
    first, second = int(result.sequences[0]), int(result.partners[0])
    message = (
        f"{len(result.sequences):,} of {len(dataset.lengths):,} sequences of {dataset.name} nearly repeat one of "
        f"another group, such as {first} and {second}. Training and test rows are then not independent: scores can "
        "be too high, or below chance where labels differ. Give such texts the same group (--group_column)."
    )
    logger.warning(message)
    return message


def _shared_ends(tokens: NDArray, starts: NDArray, lengths: NDArray) -> tuple[int, int]:
    """Return how many tokens all sequences begin with and end with; at least one token of each is not counted."""
    at_start = at_end = 0
    left = int(lengths.min()) - 1
    while at_start < left and len(np.unique(tokens[starts + at_start])) == 1:
        at_start += 1
    while at_start + at_end < left and len(np.unique(tokens[starts + lengths - 1 - at_end])) == 1:
        at_end += 1
    return at_start, at_end


def _signatures(tokens: NDArray[np.uint64], lengths: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Return the minima (n, N_HASHES) of hashes of the n-grams of every sequence."""
    rng = np.random.default_rng(0)
    factors, shifts = (rng.integers(1, 2**63, N_HASHES, dtype=np.uint64) | np.uint64(1) for _ in range(2))
    weights = rng.integers(1, 2**63, SHINGLE, dtype=np.uint64) | np.uint64(1)
    signatures = np.empty((len(lengths), N_HASHES), dtype=np.uint64)
    ends = np.cumsum(lengths)
    begin = 0
    while begin < len(lengths):
        already = ends[begin] - lengths[begin]
        end = max(begin + 1, int(np.searchsorted(ends, already + TOKENS_AT_ONCE, side="right")))
        piece = tokens[already : ends[end - 1]] + np.uint64(1)
        starts = ends[begin:end] - lengths[begin:end] - already
        place = np.arange(len(piece)) - np.repeat(starts, lengths[begin:end])
        # The n-gram that ends at a token; before the first token of a sequence there is nothing (0).
        shingles = piece * weights[0]
        for back in range(1, SHINGLE):
            shingles[back:] += np.where(place >= back, np.roll(piece, back), 0)[back:].astype(np.uint64) * weights[back]
        shingles ^= shingles >> np.uint64(29)
        for i in range(N_HASHES):
            mixed = (shingles * factors[i] + shifts[i]) * np.uint64(0x9E3779B97F4A7C15)
            signatures[begin:end, i] = np.minimum.reduceat(mixed ^ (mixed >> np.uint64(32)), starts)
        begin = end
    return signatures
