"""The rows that stage 1 stores for a data set, and the rows that a feature uses."""

import logging
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probing_datasets.feature_dataset import Aggregation
from probing_datasets.feature_dataset.probed_rows import (
    WHOLE_SEQUENCE,
    ProbedRows,
    feature_rows,
    grid_rows,
    probed_rows,
    sequence_rows,
    token_rows,
)
from probing_datasets.foundation.errors import DatasetError
from tests.builders.datasets import dataset_with_labels

pairs = st.tuples(st.integers(0, 5), st.integers(0, 4))
labelled = st.dictionaries(pairs, st.sampled_from([-1.0, 1.0]), min_size=1)


@settings(max_examples=30)
@given(labelled, labelled)
def test_rows_of_tokens(first, second):
    features = {"a": first, "b": second}
    dataset = dataset_with_labels(features)
    rows = probed_rows(dataset, "none")
    places = sorted({*first, *second})
    assert list(zip(rows.sequence.tolist(), rows.position.tolist(), strict=True)) == places
    assert len(rows) == len(places)
    for name, labels in features.items():
        used = feature_rows(dataset, name, rows, "none")
        assert [places[i] for i in used.row] == sorted(labels)
        assert used.label.tolist() == [labels[place] for place in sorted(labels)]
        assert used.sequence.tolist() == [sequence for sequence, _ in sorted(labels)]
        assert np.array_equal(used.group, dataset.group_codes[used.sequence])


@settings(max_examples=30)
@given(labelled, labelled)
def test_rows_of_sequences(first, second):
    by_sequence = {
        name: {place: 1.0 if place[0] % 2 else -1.0 for place in labels}
        for name, labels in {"a": first, "b": second}.items()
    }
    dataset = dataset_with_labels(by_sequence)
    rows = probed_rows(dataset, "mean")
    needed = sorted({sequence for labels in by_sequence.values() for sequence, _ in labels})
    assert rows.sequence.tolist() == needed
    assert set(rows.position.tolist()) == {WHOLE_SEQUENCE}
    for name, labels in by_sequence.items():
        used = feature_rows(dataset, name, rows, "mean")
        mine = sorted({sequence for sequence, _ in labels})
        assert used.sequence.tolist() == mine
        assert [needed[i] for i in used.row] == mine
        assert used.label.tolist() == [1.0 if sequence % 2 else -1.0 for sequence in mine]


@pytest.mark.parametrize("aggregation", get_args(Aggregation))
def test_label_that_varies_within_a_sequence(aggregation):
    dataset = dataset_with_labels({"f": {(0, 1): 1.0, (0, 2): -1.0, (1, 1): 1.0}})
    if aggregation == "none":
        rows = probed_rows(dataset, aggregation)
        assert feature_rows(dataset, "f", rows, aggregation).label.tolist() == [1, -1, 1]
        return
    rows = ProbedRows(np.array([0, 1]), np.array([-1, -1]))
    message = f"'f' varies within a sequence.*{aggregation}. Use `none`"
    with pytest.raises(DatasetError, match=message):
        probed_rows(dataset, aggregation)
    with pytest.raises(DatasetError, match=message):
        feature_rows(dataset, "f", rows, aggregation)


@pytest.mark.parametrize("stored", [slice(0, 2), slice(1, 3), slice(0, 0)])
def test_rows_that_the_store_does_not_have(stored):
    dataset = dataset_with_labels({"f": {(0, 1): 1.0, (1, 2): -1.0, (2, 1): 1.0}})
    rows = probed_rows(dataset, "none")
    fewer = ProbedRows(rows.sequence[stored], rows.position[stored])
    with pytest.raises(DatasetError, match="Rows of 'f' are missing from the store. Harvest d again"):
        feature_rows(dataset, "f", fewer, "none")


def test_unknown_feature():
    dataset = dataset_with_labels({"f": {(0, 1): 1.0}})
    with pytest.raises(DatasetError, match="has no feature g; it has: f"):
        feature_rows(dataset, "g", probed_rows(dataset, "none"), "none")


def test_bundled_texts(tiny_dataset):
    of_tokens, of_sequences = probed_rows(tiny_dataset, "none"), probed_rows(tiny_dataset, "max")
    assert len(of_tokens) == 5 * 270
    assert of_sequences.sequence.tolist() == list(range(270))
    used = feature_rows(tiny_dataset, "German", of_sequences, "max")
    assert (used.label == 1).sum() == 30
    assert len(np.unique(used.group)) == 30


@settings(max_examples=30)
@given(labelled)
def test_a_label_of_the_next_token_belongs_to_the_position_before(labels):
    dataset = dataset_with_labels({"f": labels})
    shifted = {(s, p - 1): label for (s, p), label in labels.items() if p > 0}
    if not shifted:
        with pytest.raises(DatasetError, match="All labels of d are at first positions, which no token precedes"):
            probed_rows(dataset, "none", next_token=True)
        with pytest.raises(DatasetError, match="All labels of 'f' are at first positions, which no token precedes"):
            feature_rows(dataset, "f", ProbedRows(np.arange(1), np.arange(1)), "none", next_token=True)
        return
    rows = probed_rows(dataset, "none", next_token=True)
    places = list(zip(rows.sequence.tolist(), rows.position.tolist(), strict=True))
    assert places == sorted(shifted)
    used = feature_rows(dataset, "f", rows, "none", next_token=True)
    assert [places[row] for row in used.row] == sorted(shifted)
    assert used.label.tolist() == [shifted[place] for place in sorted(shifted)]


def test_labels_of_first_positions_are_counted(caplog):
    dataset = dataset_with_labels({"f": {(0, 0): 1.0, (1, 0): -1.0, (1, 3): 1.0}, "g": {(2, 0): 1.0, (2, 1): 1.0}})
    with caplog.at_level(logging.WARNING):
        assert len(probed_rows(dataset, "none", next_token=True)) == 2
    assert "d: 3 labels of first positions are not used" in caplog.text
    caplog.clear()
    probed_rows(dataset, "none")
    assert caplog.text == ""


def ragged(lengths):
    """A data set with sequences of these lengths in a context of five tokens."""
    return dataset_with_labels({"f": {(0, 0): 1.0}}, lengths, context_length=5)


def places_of(rows):
    return list(zip(rows.sequence.tolist(), rows.position.tolist(), strict=True))


@settings(max_examples=30)
@given(st.lists(st.integers(1, 5), min_size=1, max_size=4), st.lists(st.integers(-5, 4), max_size=4))
def test_rows_of_all_tokens(lengths, positions):
    dataset = ragged(lengths)
    columns = sorted({position % 5 for position in positions}) or range(5)
    expected = [(sequence, position) for sequence in range(len(lengths)) for position in columns]
    real = [(sequence, position) for sequence, position in expected if position < lengths[sequence]]
    assert places_of(grid_rows(dataset, positions)) == expected
    if real:
        assert places_of(grid_rows(dataset, positions, padding=False)) == real
    else:
        with pytest.raises(DatasetError, match="No sequence of d reaches position"):
            grid_rows(dataset, positions, padding=False)


def test_rows_of_tokens_and_of_sequences():
    dataset = ragged([2, 5, 1, 3])
    assert places_of(token_rows(dataset, np.array([0, 2, 3]))) == [(0, 0), (0, 1), (2, 0), (3, 0), (3, 1), (3, 2)]
    assert places_of(sequence_rows(dataset)) == [(0, -1), (1, -1), (2, -1), (3, -1)]


@pytest.mark.parametrize("position", [5, -6])
def test_positions_outside_the_context(position):
    with pytest.raises(DatasetError, match=f"d has positions -5 to 4; there is no position {position}"):
        grid_rows(ragged([5]), [0, position])
