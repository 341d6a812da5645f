"""Numbers of tokens, and the classes of features at them."""

import dataclasses

import numpy as np
import torch

from sparse_probing.activations.model_pass.batches import sequence_batches
from sparse_probing.activations.statistics.token_classes import (
    CountedTokens,
    TokenClass,
    TokenNumbers,
    regression_features,
    token_classes,
)


def test_numbers_and_places_are_inverse(tiny_dataset):
    numbers = TokenNumbers.of(tiny_dataset)
    everything = np.arange(tiny_dataset.description.n_tokens)
    sequence, position = numbers.place(everything)
    assert np.array_equal(numbers.number(sequence, position), everything)
    assert (position < tiny_dataset.lengths[sequence]).all()
    assert (position >= 0).all()


def test_classes_are_the_labels_of_each_feature(tiny_dataset):
    classes, numbers = token_classes(tiny_dataset), TokenNumbers.of(tiny_dataset)
    assert [(c.feature, c.label) for c in classes[:2]] == [("Dutch", -1.0), ("Dutch", 1.0)]
    assert len(classes) == 2 * len(tiny_dataset.features)
    probes = tiny_dataset.feature_probes("Dutch")
    places = numbers.place(classes[1].token)
    positive = probes.label == 1
    assert set(zip(*map(np.ndarray.tolist, places), strict=True)) == set(
        zip(probes.sequence[positive].tolist(), probes.position[positive].tolist(), strict=True)
    )
    assert regression_features(tiny_dataset) == []


def test_membership_is_that_of_a_set():
    chosen = TokenClass("made", 1.0, np.array([2, 5, 9]))
    token = np.array([9, 0, 2, 10, 5, 3])
    assert chosen.among(token).tolist() == [t in {2, 5, 9} for t in token]


def test_every_token_that_is_neither_padding_nor_special_counts_once(tiny_dataset):
    numbers, classes = TokenNumbers.of(tiny_dataset), token_classes(tiny_dataset)
    token, of_class = [], [0] * len(classes)
    for batch in sequence_batches(tiny_dataset, np.arange(270), 16):
        counted = CountedTokens.of(batch, numbers, classes).to(torch.device("cpu"))
        token += counted.token.tolist()
        sequence, position = numbers.place(counted.token.numpy())
        ids = batch.tokens.flatten()[counted.row]
        tokens = tiny_dataset.sequences["tokens"]
        assert ids.tolist() == [tokens[s][p] for s, p in zip(sequence.tolist(), position.tolist(), strict=True)]
        of_class = [n + len(m) for n, m in zip(of_class, counted.members, strict=True)]
    sequence, position = numbers.place(np.arange(tiny_dataset.description.n_tokens))
    assert sorted(token) == np.flatnonzero(position >= 1).tolist()
    assert of_class == [len(c.token) for c in classes]


def test_a_suffix_does_not_count(tiny_dataset):
    description = dataclasses.replace(tiny_dataset.description, n_suffix=1)
    shorter = dataclasses.replace(tiny_dataset, description=description)
    (batch,) = sequence_batches(shorter, np.arange(3), 3)
    counted = CountedTokens.of(batch, TokenNumbers.of(shorter), [])
    assert len(counted.row) == (shorter.lengths[:3] - 2).sum()
