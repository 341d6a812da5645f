"""Batches of sequences: which rows they fill, and their division into smaller ones."""

import numpy as np
import pytest

from probing_datasets.feature_dataset.probed_rows import probed_rows
from probing_datasets.feature_dataset.spans import POOLED, with_spans
from sparse_probing.activations.model_pass.batches import part_batches


def collect(dataset, rows, span, batch_size):
    """For every row of the part, the token that its batch puts there, and how often it was filled."""
    start, stop = span
    token, filled = np.full(stop - start, -1), np.zeros(stop - start, int)
    for batch in part_batches(dataset, rows, start, stop, batch_size):
        token[batch.row] = batch.tokens[batch.sequence, batch.position].numpy()
        filled[batch.row] += 1
    return token, filled


@pytest.mark.parametrize("span", [(0, 1350), (100, 333), (7, 8)])
@pytest.mark.parametrize("batch_size", [1, 5, 10_000])
def test_every_row_is_filled_once_with_its_token(tiny_dataset, span, batch_size):
    rows = probed_rows(tiny_dataset, "none")
    token, filled = collect(tiny_dataset, rows, span, batch_size)
    places = zip(rows.sequence[slice(*span)], rows.position[slice(*span)], strict=True)
    tokens = tiny_dataset.sequences["tokens"]
    assert (filled == 1).all()
    assert token.tolist() == [tokens[sequence][position] for sequence, position in places]


def test_batches_hold_whole_sequences_padded_on_the_right(tiny_dataset):
    rows, tokens = probed_rows(tiny_dataset, "none"), tiny_dataset.sequences["tokens"]
    for batch in part_batches(tiny_dataset, rows, 0, 200, 7):
        assert len(batch.tokens) <= 7
        for row, member in zip(batch.row, batch.sequence, strict=True):
            length = len(tokens[rows.sequence[row]])
            assert batch.tokens[member, :length].tolist() == tokens[rows.sequence[row]]
            assert batch.mask[member].tolist() == [1] * length + [0] * (batch.mask.shape[1] - length)


def test_special_tokens_and_padding_are_not_pooled(tiny_dataset):
    assert (tiny_dataset.description.n_prefix, tiny_dataset.description.n_suffix) == (1, 0)
    rows = probed_rows(tiny_dataset, "mean")
    for batch in part_batches(tiny_dataset, rows, 0, len(rows), 16):
        assert not batch.poolable[:, 0].any()
        assert (batch.poolable[:, 1:] == (batch.mask[:, 1:] == 1)).all()
        assert (batch.pooled == batch.poolable).all()
        assert (batch.position == -1).all()


def test_sequences_of_one_batch_have_similar_lengths(tiny_dataset):
    rows = probed_rows(tiny_dataset, "mean")
    padded = sum(b.tokens.numel() for b in part_batches(tiny_dataset, rows, 0, len(rows), 16))
    assert padded < 1.2 * tiny_dataset.description.n_tokens


def test_a_named_span_is_pooled(tiny_dataset):
    lengths = tiny_dataset.lengths
    dataset = with_spans(tiny_dataset, {POOLED: np.stack([lengths - 3, lengths - 1], axis=1)})
    rows = probed_rows(dataset, "mean")
    for batch in part_batches(dataset, rows, 0, len(rows), 16):
        assert (batch.pooled.sum(1) == 2).all()
        assert all(
            pooled[length - 3 : length - 1].all()
            for pooled, length in zip(batch.pooled, batch.mask.sum(1), strict=True)
        )
        assert (batch.poolable.sum(1) == batch.mask.sum(1) - 1).all()
