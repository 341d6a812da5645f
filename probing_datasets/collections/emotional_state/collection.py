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
from probing_datasets.building.candidate_positions import every_position, last_position
from probing_datasets.building.sequences import OpenTokenizer, open_tokenizer
from probing_datasets.building.text_endings import keep_ends
from probing_datasets.building.text_sampling import draw_texts, read_options
from probing_datasets.collections.emotional_state.chat_prompts import (
    PLACEHOLDER,
    ProbedTokens,
    chat_tokens,
    spells_special_token,
)
from probing_datasets.collections.emotional_state.states import emotional_state
from probing_datasets.feature_dataset import FeatureDataset
from probing_datasets.feature_dataset.spans import POOLED, spans_of_marks, with_spans
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
    """Beginning of the answer."""
    probed_tokens: ProbedTokens = "last"
    """Tokens of a chat that are probed: the `last` one, `all`, those of the message (`user`), or those of the
    beginning of the answer (`assistant`). Special tokens are not among them. Aggregation in stage 1 is over the tokens
    of the chosen side, and over the whole prompt for `last` and `all`."""
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
    chats = [
        chat_tokens(opened.tokenizer, row.text, config.completion, config.template, config.probed_tokens)
        for row in texts.rows
    ]
    prompts = [AnnotatedText(chat.ids, chat.is_probed) for chat in chats]
    rows = [row for row, prompt in zip(texts.rows, prompts, strict=True) if len(prompt.ids) <= room]
    notes = texts.dropped
    if n_long := len(prompts) - len(rows):
        notes += (f"{n_long:,} messages are too long for the context of {opened.context_length} tokens.",)
    fitting_prompts = [prompt for prompt in prompts if len(prompt.ids) <= room]
    sequences = keep_ends(config, opened, replace(texts, rows=rows, dropped=notes), fitting_prompts)

    states, numbers = np.unique(sequences.labels, return_inverse=True)
    around = (len(opened.frame.prefix), len(opened.frame.suffix))
    is_probed = [np.pad(fitting_prompts[text].values, around) for text in sequences.origin]
    if config.probed_tokens == "last":
        candidates = last_position(sequences)
    else:
        candidates = every_position(config, sequences)
        candidates = candidates.select(candidates.take(is_probed))
    labels = Labels("multiclass", numbers[candidates.sequence], classes=tuple(states.tolist()))
    dataset = assemble(config, sequences, candidates, [("emotional_state", labels)], join_copies=True)
    if config.probed_tokens not in ("user", "assistant"):
        return dataset
    return with_spans(dataset, {POOLED: spans_of_marks(is_probed)})


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
