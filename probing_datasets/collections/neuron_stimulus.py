"""A given token behind given n-grams: what a neuron was seen to respond to (``neuron_stimulus`` of Gurnee et al. 2023).

The probed token ends a short context. It is positive when one of the given prefixes stands directly before it,
cut from the text before at a token boundary, and negative behind anything else. What stands before it is the
whole question: the token is the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
from tyro.conf import Suppress

from probing_datasets.building.alignment import tokens_that_read
from probing_datasets.building.context_windows import POSITIVE, assemble_contexts
from probing_datasets.building.sources import TextRow
from probing_datasets.building.text_sampling import read_texts
from probing_datasets.feature_dataset import FeatureDataset
from probing_datasets.foundation.errors import SettingsError
from probing_datasets.make_config import CollectionName, MakeConfig

OTHER_PREFIX = 2
"""The kind of negatives."""

Stimuli = tuple[tuple[str, tuple[str, ...]], ...]
"""A token and its prefixes, each as a string."""


@dataclass(frozen=True)
class NeuronStimulusConfig(MakeConfig):
    """Settings of `neuron_stimulus`, with the paper's sizes."""

    collection: Suppress[CollectionName] = "neuron_stimulus"
    stimuli: tuple[str, ...] = ()
    """Each `PREFIX|TOKEN`, as they stand in the text, with the token's leading space if it has one: `Har|vard`,
    `peace| Prize`. Those of one token are one feature.
    """
    context_length: int | None = 32
    texts_per_label: int = 100_000
    rows_per_feature: int = 2500
    positive_fraction: float = 0.2

    def __post_init__(self) -> None:
        """Raise SettingsError for values outside their range."""
        super().__post_init__()
        wrong = [s for s in self.stimuli if len(s.split("|")) != 2 or not all(part.strip() for part in s.split("|"))]
        if wrong:
            raise SettingsError(f"--stimuli must each be PREFIX|TOKEN, as 'Har|vard'; not {wrong}.")


def build(config: NeuronStimulusConfig) -> FeatureDataset:
    """Build ``<prefix>+<token>`` for each token on any text; no label column is needed.

    Raises
    ------
    SettingsError
        When no stimuli are given.
    """
    if not config.stimuli:
        raise SettingsError("neuron_stimulus needs --stimuli PREFIX|TOKEN ..., as 'Har|vard'.")
    prefixes: dict[str, list[str]] = {}
    for prefix, token in (stimulus.split("|") for stimulus in config.stimuli):
        prefixes.setdefault(token, []).append(prefix)
    stimuli = tuple((token, tuple(of_token)) for token, of_token in prefixes.items())
    names = [f"{','.join(of_token)}+{token}" for token, of_token in stimuli]
    return assemble_contexts(config, read_texts(config), partial(find_stimuli, stimuli=stimuli), names)


def find_stimuli(row: TextRow, spans: np.ndarray, stimuli: Stimuli) -> np.ndarray:
    """Return (tokens, stimuli) int8: whether a token is that of a stimulus, and behind one of its prefixes."""
    values = np.zeros((len(spans), len(stimuli)), np.int8)
    starts = set(spans[:, 0].tolist())
    for column, (string, prefixes) in enumerate(stimuli):
        n_spaces = len(string) - len(string.lstrip(" "))
        for token in tokens_that_read(row.text, spans, string):
            before = row.text[: spans[token, 0] - n_spaces]
            holds = any(before.endswith(prefix) and _starts_a_token(before, prefix, starts) for prefix in prefixes)
            values[token, column] = POSITIVE if holds else OTHER_PREFIX
    return values


def _starts_a_token(before: str, prefix: str, starts: set[int]) -> bool:
    return len(before) - len(prefix.lstrip()) in starts
