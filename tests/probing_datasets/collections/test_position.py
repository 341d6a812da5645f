"""The four numbers of a position, on the same rows."""

import numpy as np

from probing_datasets.collections.position import PositionConfig, build, position_features


def test_four_numbers_of_a_position():
    numbers = position_features(np.array([0, 1, 3, 7]), np.array([4, 4, 4, 8]), 8)
    assert numbers["absolute"].tolist() == [0, 1, 3, 7]
    assert numbers["log"].tolist() == [0, 1, 2, 3]
    assert numbers["relative"].tolist() == [0, 1 / 3, 1, 1]
    normalised = position_features(np.arange(8), np.full(8, 8), 8)["normalised"]
    assert abs(normalised.mean()) < 1e-12
    assert abs(normalised.std() - 1) < 1e-12


def test_a_context_of_one_token():
    numbers = position_features(np.array([0]), np.array([1]), 1)
    assert all(values.tolist() == [0] for values in numbers.values())


def test_all_features_are_of_the_same_rows(tiny_model_dir):
    dataset = build(PositionConfig(tokenizer=str(tiny_model_dir), rows_per_feature=500))
    assert dataset.features == ("absolute", "log", "normalised", "relative")
    first, *others = (dataset.feature_probes(name) for name in dataset.features)
    assert len(first.label) == 500
    assert np.array_equal(first.label, first.position)
    assert all(np.array_equal(first.position, other.position) for other in others)
    assert all(np.array_equal(first.sequence, other.sequence) for other in others)
    relative = dataset.feature_probes("relative")
    assert np.allclose(relative.label, relative.position / (dataset.lengths[relative.sequence] - 1))
