"""The emotional state of the user of a chat, probed where a model is about to name it: ``emotional_state``.

The sequence is a message in the chat template of the model, followed by the beginning of an answer
("I think the emotional state of this user is"); the label is probed at the last token of that beginning.
There are seven states: anger, disgust, fear, joy, sadness, surprise and neutral. A message whose
annotations do not agree on one state is dropped. Identical messages are one group.

References
----------
Demszky et al. (2020), GoEmotions: A Dataset of Fine-Grained Emotions, for messages and states.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from tyro.conf import Suppress

from probing_datasets.building.annotation import AnnotatedText
from probing_datasets.building.assembly import Labels, assemble
from probing_datasets.building.candidate_positions import last_position
from probing_datasets.building.sequences import OpenTokenizer, open_tokenizer
from probing_datasets.building.text_endings import keep_ends
from probing_datasets.building.text_sampling import draw_texts, read_options
from probing_datasets.building.tokenization import special_frame
from probing_datasets.collections.emotional_state.chat_prompts import PLACEHOLDER, chat_prompt, spells_special_token
from probing_datasets.collections.emotional_state.states import emotional_state
from probing_datasets.feature_dataset import FeatureDataset
from probing_datasets.foundation.errors import SettingsError
from probing_datasets.make_config import CollectionName, MakeConfig
from probing_datasets.sources.groups import group_of_text
from probing_datasets.sources.read_source import read_source
from probing_datasets.sources.text_rows import SourceColumns, TextRow


@dataclass(frozen=True)
class EmotionalStateConfig(MakeConfig):
    """The emotional state of a chat user, probed at the end of a prompt about it."""

    collection: Suppress[CollectionName] = "emotional_state"
    source: str = "google-research-datasets/go_emotions:simplified"
    """A table of messages, or a hub data set."""
    label_column: str = "labels"
    """Emotions or states by name, or by their number in GoEmotions; one, or a list."""
    group_column: str = ""
    """Column of what must not be split between training and test rows; empty: identical messages are one group."""
    template: str = ""
    """Text around `{message}`; empty: the chat template of the tokenizer, or "User: ... Assistant:" if it has none."""
    completion: str = "I think the emotional state of this user is"
    """Beginning of the answer; its last token is probed."""
    texts_per_label: int = 10_000
    """At most this many messages of each state, drawn at random."""
    min_tokens: int = 1
    """Shorter sequences are dropped."""

    def __post_init__(self) -> None:
        """Raise SettingsError for values outside their range."""
        super().__post_init__()
        if self.template and PLACEHOLDER not in self.template:
            raise SettingsError(f"--template must contain {PLACEHOLDER} in place of the message: {self.template!r}.")


def build(config: EmotionalStateConfig) -> FeatureDataset:
    """Build the multiclass feature ``emotional_state``.

    Raises
    ------
    SourceError
        When the table cannot be read, or a column is missing.
    DatasetError
        When fewer than two states have enough messages.
    """
    opened = open_tokenizer(config)
    skipped = Counter[str]()
    texts = draw_texts(config, _messages(config, opened, skipped), skipped)

    # Drop messages whose prompt is longer than the context: without its beginning, it would not be a chat.
    room = opened.context_length - opened.frame.size
    prompts = [prompt_ids(config, opened, row.text) for row in texts.rows]
    rows = [row for row, ids in zip(texts.rows, prompts, strict=True) if len(ids) <= room]
    notes = texts.dropped
    if n_long := len(prompts) - len(rows):
        notes += (f"{n_long:,} messages are too long for the context of {opened.context_length} tokens.",)
    fitting_prompts = [AnnotatedText(ids) for ids in prompts if len(ids) <= room]
    sequences = keep_ends(config, opened, replace(texts, rows=rows, dropped=notes), fitting_prompts)

    states, numbers = np.unique(sequences.labels, return_inverse=True)
    labels = Labels("multiclass", numbers, classes=tuple(states.tolist()))
    return assemble(config, sequences, last_position(sequences), [("emotional_state", labels)], join_copies=True)


def prompt_ids(config: EmotionalStateConfig, opened: OpenTokenizer, message: str) -> np.ndarray:
    """Return the token ids (int32) of the prompt for a message, special ones of the template included.

    Special tokens at its beginning that begin sequences are removed: the frame of the sequence adds them, unless
    sequences have no beginning-of-sequence token.
    """
    prompt = chat_prompt(opened.tokenizer, message, config.completion, config.template)
    ids = opened.tokenizer(prompt, add_special_tokens=False, verbose=False)["input_ids"]
    prefix = list(special_frame(opened.tokenizer, prepend_bos=True).prefix)
    return np.array(ids[len(prefix) :] if ids[: len(prefix)] == prefix else ids, np.int32)


def _messages(config: EmotionalStateConfig, opened: OpenTokenizer, skipped: Counter[str]) -> Iterator[TextRow]:
    columns = SourceColumns(
        config.text_column, "", config.group_column, (config.label_column,), missing=config.missing_labels
    )
    for row in read_source(config.source, config.collection, columns, read_options(config), skipped):
        state = emotional_state(row.extra[0])
        if not state:
            skipped["messages have no state, or several"] += 1
        elif spells_special_token(opened.tokenizer, row.text):
            skipped["messages spell a special token"] += 1
        else:
            group = row.group if config.group_column else group_of_text(row.text)
            yield row._replace(label=state, group=group, extra=())
