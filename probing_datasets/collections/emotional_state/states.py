"""The emotions of GoEmotions, and the emotional state that each of them belongs to."""

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
    """Return the state that all annotations of a message agree on, and an empty text if they do not agree.

    Parameters
    ----------
    cell : str, int, list or None
        Emotions or states by name, or by their number among the 28 labels. Any other name is also a state.

    Examples
    --------
    >>> emotional_state(["grief", "remorse"])
    'sadness'
    """
    states = set()
    for name in map(text_of, cell if isinstance(cell, list) else [cell]):
        if name.isdecimal() and int(name) < len(STATE_OF_EMOTION):
            states.add(list(STATE_OF_EMOTION.values())[int(name)])
        elif name:
            states.add(STATE_OF_EMOTION.get(name, name))
    return states.pop() if len(states) == 1 else ""
