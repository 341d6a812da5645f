"""The collection ``emotional_state``: the state of a chat user, from messages in a chat template."""

from probing_datasets.collections.emotional_state.collection import EmotionalStateConfig, build

__all__ = ["EmotionalStateConfig", "build"]
