"""The emotions of GoEmotions, and the seven states they are instances of."""

from __future__ import annotations

from typing import Any

from probing_datasets.building.column_labels import text_of

STATE_OF_EMOTION = {
    "admiration": "joy",
    "amusement": "joy",
    "anger": "anger",
    "annoyance": "anger",
    "approval": "joy",
    "caring": "joy",
    "confusion": "surprise",
    "curiosity": "surprise",
    "desire": "joy",
    "disappointment": "sadness",
    "disapproval": "anger",
    "disgust": "disgust",
    "embarrassment": "sadness",
    "excitement": "joy",
    "fear": "fear",
    "gratitude": "joy",
    "grief": "sadness",
    "joy": "joy",
    "love": "joy",
    "nervousness": "fear",
    "optimism": "joy",
    "pride": "joy",
    "realization": "surprise",
    "relief": "joy",
    "remorse": "sadness",
    "sadness": "sadness",
    "surprise": "surprise",
    "neutral": "neutral",
}
"""Ekman's six basic emotions, or neutral, for each of the 28 labels of GoEmotions (Demszky et al. 2020), which are
numbered in this order."""


def emotional_state(cell: Any) -> str:
    """Return the state that the annotations of a message agree on, and nothing where they do not.

    Parameters
    ----------
    cell : str, int, list or None
        Emotions or states by name, or by their number among the 28 labels. A name that is not
        among them is a state of its own.

    Examples
    --------
    >>> emotional_state(["grief", "remorse"])
    'sadness'
    """
    cells = cell if isinstance(cell, list) else [cell]
    states = {_state(value) for value in cells} - {""}
    return states.pop() if len(states) == 1 else ""


def _state(value: Any) -> str:
    name = text_of(value)
    if name.isdecimal() and int(name) < len(STATE_OF_EMOTION):
        return list(STATE_OF_EMOTION.values())[int(name)]
    return STATE_OF_EMOTION.get(name, name)
