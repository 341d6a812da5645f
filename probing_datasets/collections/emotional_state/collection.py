"""The emotional state of the user of a chat, probed where a model is about to name it: ``emotional_state``.

A message stands in the chat template of the model, followed by the beginning of an answer ("I think
the emotional state of this user is"); the label is probed at the last token of that beginning. There
are seven states: anger, disgust, fear, joy, sadness, surprise and neutral. A message whose
annotations do not agree on one state is left out. Messages that are the same are one group.

References
----------
Demszky et al. (2020), GoEmotions: A Dataset of Fine-Grained Emotions, for messages and states.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from tyro.conf import Suppress

from probing_datasets.building.annotation import AnnotatedText
from probing_datasets.building.assembly import Labels, assemble
from probing_datasets.building.candidate_positions import last_position
from probing_datasets.building.sequences import OpenTokenizer, open_tokenizer
from probing_datasets.building.sources import SourceColumns, TextRow, read_source
from probing_datasets.building.text_endings import keep_ends
from probing_datasets.building.text_sampling import Texts, draw_texts
from probing_datasets.collections.emotional_state.chat_prompts import PLACEHOLDER, chat_prompt, spells_special_token
from probing_datasets.collections.emotional_state.states import emotional_state
from probing_datasets.collections.labelled_text import digest
from probing_datasets.feature_dataset import FeatureDataset
from probing_datasets.foundation.errors import SettingsError
from probing_datasets.make_config import CollectionName, MakeConfig


@dataclass(frozen=True)
class EmotionalStateConfig(MakeConfig):
    """The emotional state of a chat user, at the end of a prompt that asks for it."""

    collection: Suppress[CollectionName] = "emotional_state"
    source: str = "google-research-datasets/go_emotions:simplified"
    """A table of messages, or a hub data set."""
    label_column: str = "labels"
    """Emotions or states by name, or by their number in GoEmotions; one, or a list."""
    group_column: str = ""
    """What must not be split between training and test rows; empty: messages that are the same are one group."""
    template: str = ""
    """Text around `{message}`; empty: the chat template of the tokenizer, or "User: ... Assistant:" without one."""
    completion: str = "I think the emotional state of this user is"
    """How the answer begins; its last token is probed."""
    texts_per_label: int = 10_000
    """At most this many messages of each state, drawn at random."""
    min_tokens: int = 1
    """Shorter sequences are left out."""

    def __post_init__(self) -> None:
        """Raise SettingsError for values outside their range."""
        super().__post_init__()
        if self.template and PLACEHOLDER not in self.template:
            raise SettingsError(f"--template must say where the message stands, by {PLACEHOLDER}: {self.template!r}.")


def build(config: EmotionalStateConfig) -> FeatureDataset:
    """Build the multiclass feature ``emotional_state``.

    Raises
    ------
    SourceError
        When the table cannot be read or lacks a column.
    DatasetError
        When fewer than two states have enough messages.
    """
    opened = open_tokenizer(config)
    skipped = Counter[str]()
    texts = draw_texts(config, _messages(config, opened, skipped), skipped)
    texts, prompts = _that_fit(config, opened, texts)
    sequences = keep_ends(config, opened, texts, prompts)
    states, numbers = np.unique(sequences.labels, return_inverse=True)
    labels = Labels("multiclass", numbers, classes=tuple(states.tolist()))
    return assemble(config, sequences, last_position(sequences), [("emotional_state", labels)])


def prompt_ids(config: EmotionalStateConfig, opened: OpenTokenizer, message: str) -> np.ndarray:
    """Return the token ids (int32) of the prompt for a message, special ones of the template included.

    Those that the template itself puts in front are left to the frame of the sequence.
    """
    prompt = chat_prompt(opened.tokenizer, message, config.completion, config.template)
    ids = opened.tokenizer(prompt, add_special_tokens=False, verbose=False)["input_ids"]
    prefix = list(opened.frame.prefix)
    return np.array(ids[len(prefix) :] if ids[: len(prefix)] == prefix else ids, np.int32)


def _messages(config: EmotionalStateConfig, opened: OpenTokenizer, skipped: Counter[str]) -> Iterator[TextRow]:
    columns = SourceColumns(config.text_column, "", config.group_column, (config.label_column,))
    for row in read_source(config.source, config.collection, columns, config.source_split, skipped):
        state = emotional_state(row.extra[0])
        if not state:
            skipped["messages have no state, or several"] += 1
        elif spells_special_token(opened.tokenizer, row.text):
            skipped["messages spell a special token"] += 1
        else:
            group = row.group if config.group_column else digest(row.text)
            yield row._replace(label=state, group=group, extra=())


def _that_fit(config: EmotionalStateConfig, opened: OpenTokenizer, texts: Texts) -> tuple[Texts, list[AnnotatedText]]:
    """Leave out messages whose prompt is longer than the context: cut, it would not be a chat."""
    room = opened.context_length - opened.frame.size
    prompts = [(row, prompt_ids(config, opened, row.text)) for row in texts.rows]
    fit = [(row, ids) for row, ids in prompts if len(ids) <= room]
    n_long = len(prompts) - len(fit)
    note = (f"{n_long:,} messages are too long for the context of {opened.context_length} tokens.",) if n_long else ()
    return Texts([row for row, _ in fit], texts.digest, texts.dropped + note), [AnnotatedText(ids) for _, ids in fit]
