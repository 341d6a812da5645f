"""The emotional state that annotations of a message agree on."""

import pyarrow.parquet as pq
import pytest

from probing_datasets.collections.emotional_state.states import STATE_OF_EMOTION, emotional_state
from tests.builders.sources import real_data


@pytest.mark.parametrize(
    ("cell", "state"),
    [
        ("joy", "joy"),
        (["joy"], "joy"),
        ("gratitude", "joy"),
        (["grief", "remorse"], "sadness"),
        (["grief", "joy"], ""),
        ([], ""),
        (None, ""),
        (0, "joy"),  # admiration
        ([2, 3], "anger"),  # anger and annoyance
        (27, "neutral"),
        ("27", "neutral"),  # the cells of a CSV file are texts
        (28, "28"),
        ("boredom", "boredom"),
    ],
)
def test_state_of_a_message(cell, state):
    assert emotional_state(cell) == state


def test_seven_states_of_28_emotions():
    assert len(STATE_OF_EMOTION) == 28
    assert sorted(set(STATE_OF_EMOTION.values())) == [
        "anger", "disgust", "fear", "joy", "neutral", "sadness", "surprise"
    ]  # fmt: skip
    named, last = list(STATE_OF_EMOTION)[:-1], list(STATE_OF_EMOTION)[-1]
    assert named == sorted(named)
    assert last == "neutral"


def test_states_are_those_of_the_published_table():
    """In 54,263 messages, emotions that agree on a state give the same result as the column of states."""
    table = pq.read_table(real_data("emotion_messages.parquet"), columns=["emotions", "ekman"]).to_pylist()
    assert len(table) == 54_263
    for row in table:
        assert emotional_state(row["emotions"]) == emotional_state(row["ekman"])
